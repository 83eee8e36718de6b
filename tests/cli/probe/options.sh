probe --json -q -k 4 --temperature 5e-1 --layers 0,3-5 --show mixer,lag --text a b --note=-x --tolerances 1e-3,2 -n 4K \
    --limit=2M --ridge 3

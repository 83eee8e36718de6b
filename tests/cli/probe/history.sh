# what does not change the result is not in the history, so neither are its bytes changed
probe -q -o a.mts
probe -q -t 2 --shard 1/1 --text x -v -o b.mts 2>/dev/null
cmp a.mts b.mts
probe -q -k 3 -o c.mts
if cmp -s a.mts c.mts; then echo "the setting is not in the history"; fi
probe -q a.mts -o d.mts
probe -q --no-history a.mts -o e.mts
cmp a.mts e.mts
[ "$(grep -ao '"*probe' d.mts | wc -l)" = 2 ] || echo "not two entries"

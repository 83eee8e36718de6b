# SPDX-License-Identifier: Apache-2.0
# Errors are above their bounds; zero is met exactly; a tolerance is kept; orders are all told.
modal-fit -q --json --order 3 filters.npy >lines
fields '[x["order"] for x in r], r[0]["error"] < 1e-6, r[2]["error"], all(x["error"] >= x["bound"] for x in r)' <lines
fields 'sorted(r[0])' <lines
modal-fit -q --json --orders 4,2 --no-bound filters.npy | fields '[x["order"] for x in r], r[2]["error"] > r[3]["error"]'
modal-fit -q --json --tolerance 0.01 filters.npy | fields '[x["order"] for x in r][0::3], max(x["error"] for x in r[2:])<0.01'
modal-fit -q --json --order 4 --fir-taps 9 filters.npy -o taps.mts | fields 'r[3]["error"] < 1e-2'
tensor-stream list -q taps.mts | awk '/filter.fir/ {print $3, $4}'
modal-fit -q --json --order 4 --max-radius 0.9 filters.npy | fields 'all(x["radius"] <= 0.9000001 for x in r)'

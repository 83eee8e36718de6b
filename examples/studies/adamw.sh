#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Gradient steps against variable projection, by processor time: the error of AdamW as its steps go on, the best of
# several rates, and what modal-fit reaches at each effort. Needs Python with NumPy (python3-numpy).
#
#   FILTERS=filters.npy ORDER=16 STEPS=2000 FIRST=8 WORK=adamw examples/studies/adamw.sh
#
# FIRST: how many filters are taken. WORK receives path.tsv, ours.tsv and adamw.svg. Without FILTERS a student is made.
set -euo pipefail
# shellcheck source=examples/studies/common
. "$(dirname "$0")/common"
name=adamw
work=${WORK:-$name}
mkdir -p "$work"

if ! python3 -c 'import numpy' 2>/dev/null; then
    echo "$name: needs Python with NumPy (apt install python3-numpy)" >&2
    exit 77
fi
order=${ORDER:-16}
if [ -n "${FILTERS-}" ]; then
    array=$FILTERS
else
    filters=$(filters "$work")
    array=$work/filters.npy
    tensor-stream get -q layers.1.mixer.filter "$filters" -f -o "$array"
fi
python3 -c 'import sys, numpy
h = numpy.load(sys.argv[1])
numpy.save(sys.argv[2], h.reshape(-1, h.shape[-1])[:int(sys.argv[3])])' "$array" "$work/first.npy" "${FIRST:-8}"

echo "# effort	seconds	error" >"$work/ours.tsv"
for effort in fast normal thorough; do
    modal-fit -q "$work/first.npy" --threads 1 --order "$order" --effort "$effort" --no-bound --json \
        >"$work/$effort.jsonl"
    python3 -c 'import json, statistics, sys
fits = [json.loads(line) for line in open(sys.argv[1])]
print("%s\t%.3e\t%.4e" % (sys.argv[2], statistics.mean(f["seconds"] for f in fits),
                          statistics.median(f["error"] for f in fits)))' \
        "$work/$effort.jsonl" "$effort" >>"$work/ours.tsv"
done
OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python3 "$(dirname "$0")/adamw.py" "$work/first.npy" "$order" "${STEPS:-2000}" \
    >"$work/path.tsv"
expand -t 12,24 "$work/ours.tsv"
tail -n 1 "$work/path.tsv" | awk -F '\t' '{printf "AdamW       %-11s %s after %s steps\n", $1, $2, $3}'
picture "$work/$name.svg" <<END
set logscale x; set format x "10^{%T}"
set xlabel "seconds of processor a filter"; set ylabel "relative l2 error, median"
plot "$work/path.tsv" using 1:2 with lines lw 2 lc rgb "#b03030" title "AdamW, best of its rates", \\
     "$work/ours.tsv" using 2:3:1 with labels point pt 7 lc rgb "#1f5fa8" offset 0,0.8 title "modal-fit"
END

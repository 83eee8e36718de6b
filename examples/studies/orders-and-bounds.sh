#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How far can a filter be compressed? Error and certified lower bound over the order, for a set of filters: what lies
# between the two curves is all that any other method could gain, what lies below the lower one nobody can reach.
#
#   FILTERS=filters.npy ORDERS=2,4,8,16,32 EFFORT=normal WORK=orders-and-bounds examples/studies/orders-and-bounds.sh
#
# WORK receives fits.jsonl, table.tsv and orders-and-bounds.svg. Without FILTERS a student is made (see common).
set -euo pipefail
# shellcheck source=examples/studies/common
. "$(dirname "$0")/common"
name=orders-and-bounds
work=${WORK:-$name}
mkdir -p "$work"

filters=$(filters "$work")
modal-fit -q "$filters" --orders "${ORDERS:-2,4,8,16,32}" --effort "${EFFORT:-normal}" --json >"$work/fits.jsonl"
python3 - "$work/fits.jsonl" >"$work/table.tsv" <<'END'
import json, statistics, sys
by_order = {}
for line in open(sys.argv[1]):
    fit = json.loads(line)
    if fit["error"]:
        by_order.setdefault(fit["order"], []).append(fit)
print("# order\terror\t10%\t90%\tbound\terror/bound\tfilters")
for order, fits in sorted(by_order.items()):
    errors = sorted(fit["error"] for fit in fits)
    at = lambda q: errors[round(q * (len(errors) - 1))]
    gaps = [fit["gap"] for fit in fits if fit["gap"]]
    print("%d\t%.3e\t%.3e\t%.3e\t%.3e\t%.2f\t%d" % (
        order, statistics.median(errors), at(0.1), at(0.9), statistics.median(fit["bound"] for fit in fits),
        statistics.median(gaps) if gaps else float("nan"), len(fits)))
END
expand -t 8,20,32,44,56,70 "$work/table.tsv" # medians over the filters
picture "$work/$name.svg" <<END
set logscale x 2; set logscale y; set format y "%g"
set xlabel "order (real states)"; set ylabel "relative l2 error"
plot "$work/table.tsv" using 1:3:4 with filledcurves lc rgb "#c6dbef" title "10 - 90 % of the filters", \\
     "" using 1:2 with linespoints pt 7 lw 2 lc rgb "#1f5fa8" title "error, median", \\
     "" using 1:5 with lines dt 2 lw 2 lc rgb "#b03030" title "proven: none is below, median"
END

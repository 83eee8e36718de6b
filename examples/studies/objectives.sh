#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Which norm should a fit minimise? Fits by each of the three objectives, each measured in all three norms: l2 over the
# filter's lags, l2 over all lags (h2), and the norm of the error's Hankel operator, whose least value is known.
#
#   FILTERS=filters.npy ORDERS=4,8,16,32 WORK=objectives examples/studies/objectives.sh
#
# WORK receives l2.jsonl, h2.jsonl, hankel.jsonl, table.tsv and objectives.svg. Without FILTERS a student is made.
set -euo pipefail
# shellcheck source=examples/studies/common
. "$(dirname "$0")/common"
name=objectives
work=${WORK:-$name}
mkdir -p "$work"

filters=$(filters "$work")
for objective in l2 h2 hankel; do
    modal-fit -q "$filters" --orders "${ORDERS:-4,8,16,32}" --objective "$objective" --norms --no-bound --json \
        >"$work/$objective.jsonl" || [ $? = 1 ] # a filter may be refused where its optimum is lost in rounding
done
python3 - "$work" >"$work/table.tsv" <<'END'
import json, statistics, sys
fits = {}
for objective in ("l2", "h2", "hankel"):
    for number, line in enumerate(open("%s/%s.jsonl" % (sys.argv[1], objective))):
        fit = json.loads(line)
        fits.setdefault(number, {})[objective] = fit
print("# order\tobjective\tl2 error\th2 error\tHankel error\tl2/best\th2/best\tHankel/least")
rows = {}
for of in fits.values():
    if len(of) < 3 or not all(fit["error"] for fit in of.values()) or of["l2"]["nearest"] < 1e-8:
        continue
    best = {norm: min(fit[norm] for fit in of.values()) for norm in ("error", "h2")}
    for objective, fit in of.items():
        rows.setdefault((of["l2"]["order"], objective), []).append(
            (fit["error"], fit["h2"], fit["hankel"], fit["error"] / best["error"], fit["h2"] / best["h2"],
             fit["hankel"] / fit["nearest"]))
for objective in ("l2", "h2", "hankel"):
    for order in sorted({key[0] for key in rows}):
        medians = [statistics.median(column) for column in zip(*rows[order, objective])]
        print("%d\t%s\t%.3e\t%.3e\t%.3e\t%.3f\t%.3f\t%.3f" % (order, objective, *medians))
    print("\n")
END
expand -t 8,20,32,44,58,68,78 "$work/table.tsv" # medians; relative to the best of the three, to the least there can be
picture "$work/$name.svg" 960 <<END
set multiplot layout 1,3
set logscale x 2; set xlabel "order"; set format y "%g"
set title "l2 error / best"; plot for [i=0:2] "$work/table.tsv" index i using 1:6 with linespoints pt 7 lw 2 \\
    title word("l2 h2 hankel", i + 1)
set title "h2 error / best"; plot for [i=0:2] "" index i using 1:7 with linespoints pt 7 lw 2 notitle
set title "Hankel error / sigma_{d+1}"; plot for [i=0:2] "" index i using 1:8 with linespoints pt 7 lw 2 notitle
unset multiplot
END

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What do common poles cost? A MultiHyena student, a filter a head: each filter with poles of its own, and the filters
# of a layer with one set of poles, over the order. Numbers for poles are saved against error; the states of the
# recurrence, which hold what each head has seen, are as many either way at one order.
#
#   ORDERS=4,8,16,32,64 HEADS=8 TOKENS=50K WORK=shared-poles examples/studies/shared-poles.sh
#
# WORK receives student.mts, none.jsonl, head.jsonl, layer.jsonl, table.tsv and shared-poles.svg.
set -euo pipefail
# shellcheck source=examples/studies/common
. "$(dirname "$0")/common"
name=shared-poles
work=${WORK:-$name}
mkdir -p "$work"

student "$work/student.mts" --mixer multihyena ${HEADS:+--heads "$HEADS"}
for share in none head layer; do
    modal-fit -q "$work/student.mts" --orders "${ORDERS:-4,8,16,32,64}" --share "$share" --no-bound --json \
        >"$work/$share.jsonl"
done
python3 - "$work" >"$work/table.tsv" <<'END'
import json, math, statistics, sys
print("# share\torder\tsets of poles\tpole states\terror\tworst")
for share in ("none", "head", "layer"):
    fits = {}
    for line in open("%s/%s.jsonl" % (sys.argv[1], share)):
        fit = json.loads(line)
        fits.setdefault(fit["order"], []).append(fit)
    for order, of in sorted(fits.items()):
        if order == 0:
            continue
        # shared within a head of one filter is not shared; within a layer there is one set a tensor
        sets = len({fit["tensor"] for fit in of}) if share == "layer" else len(of)
        errors = [fit["error"] for fit in of]
        print("%s\t%d\t%d\t%d\t%.3e\t%.3e" % (
            share, order, sets, sets * order, math.sqrt(statistics.mean(e * e for e in errors)), max(errors)))
    print("\n")
END
expand -t 8,16,32,46,58 "$work/table.tsv" # error: root mean square over the filters
picture "$work/$name.svg" <<END
set logscale x 2; set logscale y; set format y "%g"
set xlabel "real states in all sets of poles"; set ylabel "relative l2 error, root mean square"
plot "$work/table.tsv" index 0 using 4:5:2 with linespoints pt 7 lw 2 lc rgb "#1f5fa8" title "poles of its own", \\
     "" index 2 using 4:5:2 with linespoints pt 7 lw 2 lc rgb "#b03030" title "one set a layer", \\
     "" index 0 using 4:5:2 with labels offset 0,0.8 tc rgb "#1f5fa8" notitle, \\
     "" index 2 using 4:5:2 with labels offset 0,0.8 tc rgb "#b03030" notitle
END

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# When does a companion form diverge? Fits of rising order in the forms that a recurrence may take, each run against its
# modes: the deviation, and of how many filters the form is refused, which is an answer too.
#
#   FILTERS=filters.npy ORDERS="2 4 8 16" FIRST=6 PRECISION=f32 WORK=companion examples/studies/companion.sh
#
# FIRST: how many filters are taken. WORK receives table.tsv and companion.svg. Without FILTERS a student is made.
set -euo pipefail
# shellcheck source=examples/studies/common
. "$(dirname "$0")/common"
name=companion
work=${WORK:-$name}
mkdir -p "$work"

filters=$(filters "$work")
precision=${PRECISION:-f32}
printf '# order\tcompanion\tmodal\tcascade\tcompanion refused\tfilters\n' >"$work/table.tsv"
# deviation MODES FORM: of one filter; nothing where the form is refused (exit 3). Above the limit (exit 1) it is told
# as well.
deviation() {
    local status=0
    realize-ssm -q "$1" --form "$2" --state-precision "$precision" --check --json >"$work/line.json" \
        2>"$work/message" || status=$?
    case $status in
    0 | 1 | 3) ;;
    *)
        cat "$work/message" >&2
        return "$status"
        ;;
    esac
    sed -n 's/.*"deviation": *\([^,}]*\).*/\1/p' "$work/line.json"
}
rows=$(modal-fit -q "$filters" --order 2 --effort fast --no-bound --json | wc -l)
take=$((rows < ${FIRST:-6} ? rows : ${FIRST:-6}))
for order in ${ORDERS:-2 4 8 16}; do
    : >"$work/deviations.tsv"
    tensor=$(modal-fit -q "$filters" --order "$order" --no-bound --effort fast --json -f -o "$work/modes.mts" |
        sed -n '1s/.*"tensor": *"\([^"]*\)".*/\1/p')
    tensor-stream select -q "$work/modes.mts" "$tensor*" -f -o "$work/one.mts"
    for part in poles residues fir order sections cascade; do
        tensor-stream get -q "$tensor.$part" "$work/one.mts" -f -o "$work/$part.npy"
    done
    count=$(python3 "$(dirname "$0")/rows.py" "$work" "$take")
    for ((k = 0; k < count; ++k)); do
        tensor-stream import -q "$work/row$k".{poles,residues,fir,order,sections,cascade}.npy -f -o "$work/row.mts"
        companion=$(deviation "$work/row.mts" companion)
        modal=$(deviation "$work/row.mts" modal)
        cascade=$(deviation "$work/row.mts" cascade)
        printf '%s\t%s\t%s\n' "$companion" "$modal" "$cascade" >>"$work/deviations.tsv"
    done
    python3 - "$order" "$work/deviations.tsv" >>"$work/table.tsv" <<'END'
import statistics, sys
rows = [line.rstrip("\n").split("\t") for line in open(sys.argv[2])]
median = lambda values: "%.2e" % statistics.median(values) if values else "-"
columns = [[float(x) for x in column if x and x != "null"] for column in zip(*rows)]
print(sys.argv[1], *map(median, columns), len(rows) - len(columns[0]), len(rows), sep="\t")
END
    rm -f "$work"/row*.npy
done
expand -t 8,22,34,46,66 "$work/table.tsv" # medians of the deviation, relative l2, where the form was not refused
picture "$work/$name.svg" <<END
set logscale y; set format y "10^{%T}"; set logscale x 2; set datafile missing "-"
set xlabel "order (real states)"; set ylabel "deviation from the modes, $precision"
set y2range [0:1]; set y2tics; set ytics nomirror; set y2label "companion refused"
plot "$work/table.tsv" using 1:(\$5/\$6) axes x1y2 with boxes fs solid 0.2 lc rgb "#b03030" title "refused, share", \\
     "" using 1:2 with linespoints pt 7 lw 2 lc rgb "#b03030" title "companion", \\
     "" using 1:3 with linespoints pt 7 lw 2 lc rgb "#1f5fa8" title "modal", \\
     "" using 1:4 with linespoints pt 7 lw 2 lc rgb "#2e8b57" title "cascade"
END

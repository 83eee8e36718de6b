#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What does a recurrence of few states lose, in words instead of l2? Students of one teacher, trained alike (closed
# start, then KL): modal filters at each order; those of the largest order reduced to the lower ones; implicit filters;
# free filters; and free filters that were fitted and then healed, KL with the recurrence in the loop. Perplexity and
# KL of each recurrence, to the teacher and to the exact convolution that it stands for, beside the error of its fits
# and the bound below which no fit of that order can be.
#
#   ORDERS="2 4 8 16 32 64" TOKENS=100K STEPS=100 HEAL=40 BATCH=4 CONTEXT=512 LIMIT=8K HEADS= \
#       WORK=order-against-quality examples/studies/order-against-quality.sh
#
# TEACHER is a model folder, TEXT what is measured on, TRAIN what is trained on (see common). STEPS of KL make each
# student, HEAL more heal it (at HEAL_ORDERS, by default all); HEADS are the filters of a layer, by default as many as
# the teacher has heads; EFFORT is modal-fit's; LR, WARMUP and HEAL_LR are the schedule. A stage whose output is there is
# not run again. WORK receives rows.jsonl, table.md and order-against-quality.svg.
set -euo pipefail
# shellcheck source=examples/studies/common
. "$(dirname "$0")/common"
name='order-against-quality'
work=${WORK:-$name}
teacher=${TEACHER:-$root/share/teachers/bookworm}
text=${TEXT:-$root/share/texts/emma-opening.txt}
steps=${STEPS:-100}
heal=${HEAL:-$((steps * 2 / 5 + 1))}
context=${CONTEXT:-512}
tokens=${TOKENS:-100K}
read -ra orders <<<"${ORDERS:-2 4 8 16 32 64}"
largest=${orders[-1]}
mkdir -p "$work"
data=()
training_data

tune() { fine-tune "$1" --teacher "$teacher" "${data[@]}" --context "$context" --batch "${BATCH:-4}" "${@:2}"; }
heal() { tune "$1" --steps "$heal" --lr "${HEAL_LR:-3e-4}" "${@:2}"; }
# trained NAME OPTIONS...: the closed start, then KL
trained() {
    stage "$1.start" layer-distill "$work/dump.mts" --steps 0 --start-tokens "$tokens" ${HEADS:+--heads "$HEADS"} \
        "${@:2}"
    stage "$1" tune "$work/$1.start.mts" --steps "$steps" --lr "${LR:-2e-3}" --warmup "${WARMUP:-20}"
}
# reduced FROM ORDER NAME: the fits, NAME.fit, and the recurrence that they are; errors and bounds in NAME.jsonl
fitted() {
    modal-fit "$work/$1.mts" --order "$2" --effort "${EFFORT:-fast}" --json "${@:4}" >"$work/$3.jsonl" || [ $? = 1 ]
}
reduced() {
    stage "$3.fit" fitted "$1" "$2" "$3"
    stage "$3" realize-ssm "$work/$3.fit.mts"
}
# measured MODEL MODE OTHER NAME: evaluate's JSON
measured() {
    local file=$work/$4.json
    [ -s "$file" ] || evaluate -q "$1" --mode "$2" --against "$3" --text "$text" --context "$context" \
        --limit "${LIMIT:-8K}" --json -f -o "$file"
}
# row FAMILY ORDER NAME EXACT: the recurrence NAME beside the convolution EXACT
row() {
    measured "$work/$3.mts" recurrent "$teacher" "$3.teacher"
    measured "$work/$3.mts" recurrent "$work/$4.mts" "$3.exact"
    measured "$work/$4.mts" exact "$teacher" "$4.convolution"
    printf '%s\t%s\t%s\t%s\n' "$@" >>"$work/rows.txt"
}

stage dump teacher-dump "$teacher" "${data[@]}" --limit "$tokens" --context "$context"
: >"$work/rows.txt"
for order in "${orders[@]}"; do
    trained "modal-$order" --order "$order"
    row 'modal, trained at this order' "$order" "modal-$order" "modal-$order"
done
trained implicit --filter implicit
trained free --filter free
stage free-longer heal "$work/free.mts"
for order in "${orders[@]}"; do
    if [ "$order" != "$largest" ]; then
        reduced "modal-$largest" "$order" "reduced-$order"
        row "modal, reduced from $largest" "$order" "reduced-$order" "modal-$largest"
    fi
    for form in implicit free; do
        reduced "$form" "$order" "$form-$order"
        row "$form, fitted" "$order" "$form-$order" "$form"
    done
done
for order in ${HEAL_ORDERS:-${orders[@]}}; do
    stage "healed-$order" heal "$work/free-$order.fit.mts" --filters modes
    cp "$work/free-$order.jsonl" "$work/healed-$order.jsonl"
    row 'free, fitted, healed' "$order" "healed-$order" free-longer
done

python3 "$(dirname "$0")/order-against-quality.py" "$work" | tee "$work/table.md"
cat "$work"/*.cpu | awk '{ s += $1 } END { printf "%.1f CPU minutes of training and fits\n", s / 60 }'
picture "$work/$name.svg" 960 <<END
set multiplot layout 1,2
set logscale x 2; set xlabel "states a filter"; set key bmargin samplen 1
set title "perplexity over the teacher's (dashed: convolutions of implicit and free filters)"
plot for [i=0:4] "$work/table.tsv" index i using 1:2:3 with yerrorlines pt 7 ps 0.6 lw 2 title columnheader(1), \\
     for [i=5:7] "" index i using 1:2 with lines dt 2 lw 1 lc rgb "#888888" notitle
set title "KL from its convolution, nats a token"
set logscale y; set format y "10^{%T}"; set yrange [1e-4:*]
plot for [i=0:3] "" index i using 1:4 with linespoints pt 7 ps 0.6 lw 2 notitle
unset multiplot
END

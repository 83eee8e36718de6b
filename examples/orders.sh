#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How many states does a filter need? One student, its filters fitted with ever more modes, each fit measured as the
# recurrence it is: a table of order, fit error and perplexity, and its picture where gnuplot is installed.
#
#   ORDERS="2 4 8 12 16" TOKENS=100K CONTEXT=512 LIMIT=20K WORK=orders examples/orders.sh
#
# TEACHER is a model folder, TEXT a file, STUDENT a stream to take instead of distilling one from TOKENS.
# WORK receives orders.tsv, orders.svg, and for each order its fits (ORDER.jsonl) and its recurrence (ORDER.mts).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
PATH=$PATH:$root/build/bin # tools on the path go first

teacher=${TEACHER:-$root/share/teachers/bookworm}
text=${TEXT:-$root/share/texts/emma-opening.txt}
work=${WORK:-orders}
context=${CONTEXT:-512}
student=${STUDENT:-$work/student.mts}
read -ra orders <<<"${ORDERS:-2 4 8 12 16}"

mkdir -p "$work"
if [ ! -s "$student" ]; then
    teacher-dump "$teacher" --sample --limit "${TOKENS:-100K}" --context "$context" -f -o "$work/dump.mts"
    layer-distill "$work/dump.mts" -f -o "$student"
fi

# measure MODEL NAME OPTIONS...: perplexity and standard error, from evaluate's JSON
measure() {
    local model=$1 name=$2
    shift 2
    evaluate -q "$model" "$@" --text "$text" --context "$context" --limit "${LIMIT:-20K}" --json \
        -f -o "$work/$name.json" || return
    python3 -c 'import json, sys
p = json.load(open(sys.argv[1]))["results"]["text"]["token_perplexity"]
print("%.4f\t%.4f" % (p["value"], p["stderr"]))' "$work/$name.json"
}

{
    printf '# order\terror\tperplexity\tstderr\n'
    for order in "${orders[@]}"; do
        modal-fit -q "$student" --order "$order" --json -f -o "$work/modes.mts" >"$work/$order.jsonl"
        error=$(python3 -c 'import json, statistics, sys
print("%.3e" % statistics.median(json.loads(line)["error"] for line in open(sys.argv[1])))' "$work/$order.jsonl")
        realize-ssm -q "$work/modes.mts" --drop-exact -f -o "$work/$order.mts"
        measured=$(measure "$work/$order.mts" "$order" --mode recurrent)
        printf '%s\t%s\t%s\n' "$order" "$error" "$measured"
    done
    measured=$(measure "$student" exact --mode exact)
    printf '# exact\t0\t%s\n' "$measured"
} >"$work/orders.tsv"
expand -t 8,20,34 "$work/orders.tsv" # error: median relative l2; exact: the filters themselves

if command -v gnuplot >/dev/null; then
    exact=$(awk '$2 == "exact" { print $4 }' "$work/orders.tsv")
    gnuplot <<END
set terminal svg size 640,400 font "sans-serif,13" background "white"
set output "$work/orders.svg"
set xlabel "states a filter"
set ylabel "perplexity"
set grid
set offsets graph 0.05, graph 0.05, graph 0.1, graph 0.1
plot "$work/orders.tsv" using 1:3:4 with yerrorlines pt 7 lw 2 lc rgb "#1f5fa8" title "recurrence", \\
     $exact with lines dt 2 lc rgb "#888888" title "convolution"
END
    echo "picture: $work/orders.svg"
fi

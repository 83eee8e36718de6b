#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Scavenging Hyena's table of perplexities, and what its recipe leaves on the table: the teacher; the same shape trained
# from nothing; the paper's transfer (random operators, layer after layer by MSE, then cross-entropy); ours (closed
# start, KL to the teacher). Each with its error bar and its CPU time, on every text of CORPORA.
#
#   TOKENS=400K STEPS=100 BATCH=8 CONTEXT=512 LIMIT=20K WORK=perplexity-table examples/perplexity-table.sh
#
# TEACHER is a model folder, TRAIN a text to train on (default: the teacher's own samples), CORPORA a list of texts,
# TOKENS what the closed start sees, STEPS the gradient steps of every stage (the transfer by layers takes STEPS in all,
# training from nothing twice STEPS), MIXER options of layer-distill for all students. A stage whose output is there is
# not run again. WORK receives table.tsv and table.md.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
PATH=$PATH:$root/build/bin # tools on the path go first

teacher=${TEACHER:-$root/share/teachers/bookworm}
work=${WORK:-perplexity-table}
steps=${STEPS:-100}
batch=${BATCH:-8}
context=${CONTEXT:-512}
read -ra corpora <<<"${CORPORA:-$root/share/texts/emma-opening.txt}"
read -ra mixer <<<"${MIXER:-}"
layers=$(python3 -c 'import json, sys
config = json.load(open(sys.argv[1] + "/config.json"))
print(config["num_hidden_layers"])' "$teacher")
data=(--sample)
shuffled=()
if [ -n "${TRAIN:-}" ]; then
    data=(--text "$TRAIN")
    shuffled=(--shuffle 8K)
fi
# tokens that the transfer by layers reads: as many batches as it takes steps
transfer=$((steps / layers * layers * batch * context))

mkdir -p "$work"
# stage NAME COMMAND...: NAME.mts, and its CPU seconds in NAME.cpu
stage() {
    local name=$1 TIMEFORMAT='%U %S'
    shift
    [ -s "$work/$name.mts" ] && return
    { time "$@" -f -o "$work/$name.mts" 2>&3; } 3>&2 2>"$work/$name.time"
    awk '{ printf "%.0f\n", $1 + $2 }' "$work/$name.time" >"$work/$name.cpu"
    rm "$work/$name.time"
}
tune() {
    local name=$1 from=$2 count=$3
    shift 3
    stage "$name" fine-tune "$work/$from.mts" "${data[@]}" --steps "$count" --batch "$batch" --context "$context" "$@"
}

stage start-dump teacher-dump "$teacher" "${data[@]}" "${shuffled[@]}" --limit "${TOKENS:-400K}" --context "$context"
stage closed layer-distill "$work/start-dump.mts" --steps 0 --start-tokens "${TOKENS:-400K}" "${mixer[@]}"
tune tuned closed "$steps" --teacher "$teacher" --loss kl

stage layer-dump teacher-dump "$teacher" "${data[@]}" "${shuffled[@]}" --limit "$transfer" --batch "$batch" \
    --context "$context"
stage paper-layers layer-distill "$work/layer-dump.mts" --filter implicit --start random --schedule progressive \
    --steps $((steps / layers)) "${mixer[@]}"
tune paper-tuned paper-layers "$steps" --loss ce
tune nothing paper-layers $((2 * steps)) --loss ce --from-scratch

# row TITLE MODEL CPU-FILES...: perplexity and standard error on every corpus, CPU seconds of all stages together
row() {
    local title=$1 model=$2 text i=0
    shift 2
    printf '%s' "$title"
    for text in "${corpora[@]}"; do
        evaluate -q "$model" --text "$text" --context "$context" --limit "${LIMIT:-20K}" --json \
            -f -o "$work/evaluation.json"
        python3 -c 'import json, sys
p = json.load(open(sys.argv[1]))["results"]["text"]["token_perplexity"]
print("\t%.2f\t%.2f" % (p["value"], p["stderr"]), end="")' "$work/evaluation.json"
        i=$((i + 1))
    done
    printf '\t%s\n' "$(for file in "$@"; do cat "$work/$file.cpu"; done | awk '{ s += $1 } END { print s + 0 }')"
}
{
    printf '# model'
    for text in "${corpora[@]}"; do printf '\t%s\tstderr' "$(basename "$text" .txt)"; done
    printf '\tCPU seconds\n'
    row 'teacher' "$teacher"
    row 'from nothing, cross-entropy' "$work/nothing.mts" nothing
    row 'layer by layer, MSE' "$work/paper-layers.mts" layer-dump paper-layers
    row 'layer by layer, then cross-entropy' "$work/paper-tuned.mts" layer-dump paper-layers paper-tuned
    row 'closed start' "$work/closed.mts" start-dump closed
    row 'closed start, then KL' "$work/tuned.mts" start-dump closed tuned
} >"$work/table.tsv"
awk -F '\t' '{ sub(/^# /, ""); line = "|"; rule = "|"
    for (i = 1; i <= NF; ++i) { line = line " " $i " |"; rule = rule " --- |" }
    print line; if (NR == 1) print rule }' "$work/table.tsv" | tee "$work/table.md"

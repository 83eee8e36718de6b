#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Scavenging Hyena's table of perplexities, and what its recipe leaves on the table: the teacher; the same shape trained
# from nothing; the paper's transfer (random operators, layer after layer by MSE, then cross-entropy); ours (closed
# start, KL to the teacher). Each with its error bar and its CPU time, on every text of CORPORA.
#
#   TOKENS=400K STEPS=100 BATCH=8 CONTEXT=512 LIMIT=20K WORK=perplexity-table examples/perplexity-table.sh
#
# TEACHER is a model folder, TRAIN what is trained on (see studies/common), CORPORA a list of texts, TOKENS what the
# closed start sees, STEPS the gradient steps of every stage (the transfer by layers takes STEPS in all, training from
# nothing twice STEPS), MIXER options of layer-distill for all students. A stage whose output is there is not run again.
# WORK receives table.jsonl and table.md.
set -euo pipefail
# shellcheck source=examples/studies/common
. "$(dirname "$0")/studies/common"

teacher=${TEACHER:-$root/share/teachers/bookworm}
work=${WORK:-perplexity-table}
steps=${STEPS:-100}
batch=${BATCH:-8}
context=${CONTEXT:-512}
read -ra corpora <<<"${CORPORA:-$root/share/texts/emma-opening.txt}"
distinct .txt "${corpora[@]}"
read -ra mixer <<<"${MIXER:-}"
layers=$(python3 -c 'import json, sys
config = json.load(open(sys.argv[1] + "/config.json"))
print(config["num_hidden_layers"])' "$teacher")
# tokens that the transfer by layers reads: as many batches as it takes steps
transfer=$((steps / layers * layers * batch * context))

mkdir -p "$work"
data=()
training_data
tune() {
    local name=$1 from=$2 count=$3
    shift 3
    stage "$name" fine-tune "$work/$from.mts" "${data[@]}" --steps "$count" --batch "$batch" --context "$context" "$@"
}

stage start-dump teacher-dump "$teacher" "${data[@]}" --limit "${TOKENS:-400K}" --context "$context"
stage closed layer-distill "$work/start-dump.mts" --steps 0 --start-tokens "${TOKENS:-400K}" "${mixer[@]}"
tune tuned closed "$steps" --teacher "$teacher" --loss kl

stage layer-dump teacher-dump "$teacher" "${data[@]}" --limit "$transfer" --batch "$batch" --context "$context"
stage paper-layers layer-distill "$work/layer-dump.mts" --filter implicit --start random --schedule progressive \
    --steps $((steps / layers)) "${mixer[@]}"
tune paper-tuned paper-layers "$steps" --loss ce
tune nothing paper-layers $((2 * steps)) --loss ce --from-scratch

# row TITLE MODEL STAGES...: a line of JSON a corpus, with the CPU seconds of all stages together
row() {
    local title=$1 model=$2 name=teacher text file
    shift 2
    [ $# = 0 ] || name=${*: -1}                  # the last stage; a teacher's folder may be called like one
    for text in "${corpora[@]}"; do
        file=$work/$name-$(basename "$text" .txt).json
        [ -s "$file" ] || evaluate -q "$model" --against "$teacher" --text "$text" --context "$context" \
            --limit "${LIMIT:-20K}" --json -f -o "$file"
        python3 -c 'import json, sys
results = json.load(open(sys.argv[1]))["results"]["text"]
print(json.dumps({"model": sys.argv[2], "corpus": sys.argv[3], "cpu_seconds": float(sys.argv[4]), **results}))' \
            "$file" "$title" "$(basename "$text" .txt)" "$(cpu "$@")"
    done
}
{
    row 'teacher' "$teacher"
    row 'from nothing, cross-entropy' "$work/nothing.mts" nothing
    row 'layer by layer, MSE' "$work/paper-layers.mts" layer-dump paper-layers
    row 'layer by layer, then cross-entropy' "$work/paper-tuned.mts" layer-dump paper-layers paper-tuned
    row 'closed start' "$work/closed.mts" start-dump closed
    row 'closed start, then KL' "$work/tuned.mts" start-dump closed tuned
} >"$work/table.jsonl"
python3 - "$work/table.jsonl" <<'END' | tee "$work/table.md"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
corpora = list(dict.fromkeys(row["corpus"] for row in rows))
pair = lambda x, digits: "%.*f +- %.*f" % (digits, x["value"], digits, x["stderr"])
print("| model | " + " | ".join(f"{c} | over the teacher's" for c in corpora) + " | CPU minutes |")
print("| --- " * (2 + 2 * len(corpora)) + "|")
for model in dict.fromkeys(row["model"] for row in rows):
    of = [row for row in rows if row["model"] == model]
    cells = [model]
    for row in of:
        cells += [pair(row["token_perplexity"], 2), pair(row["against"]["perplexity_ratio"], 3)]
    print("| " + " | ".join(cells + ["%.1f" % (of[0]["cpu_seconds"] / 60)]) + " |")
END

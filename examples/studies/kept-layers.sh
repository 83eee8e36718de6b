#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How much does attention that stays buy? The closed start with more and more of the teacher's layers, or of its heads,
# kept: those that cost most to replace first (layer-distill --suggest-keep), and the other way round, which tells what
# the ranking is worth. Perplexity and KL beside the memory that a sequence takes.
#
#   HEADS="2 4 8 12 16" TOKENS=100K RANK_TOKENS=16K CONTEXT=512 LIMIT=8K WORK=kept-layers \
#       examples/studies/kept-layers.sh
#
# HEADS are the numbers of heads to keep; layers are kept from none to all but one. TEACHER is a model folder, TEXT what
# is measured on, TRAIN what the start sees (see common), MIXER options of layer-distill for all students. A stage whose
# output is there is not run again. WORK receives ranking.jsonl, rows.jsonl, table.md and kept-layers.svg.
set -euo pipefail
# shellcheck source=examples/studies/common
. "$(dirname "$0")/common"
name=kept-layers
work=${WORK:-$name}
teacher=${TEACHER:-$root/share/teachers/bookworm}
text=${TEXT:-$root/share/texts/emma-opening.txt}
context=${CONTEXT:-512}
tokens=${TOKENS:-100K}
read -ra heads <<<"${HEADS:-2 4 8 12 16}"
read -ra mixer <<<"${MIXER:-}"
mkdir -p "$work"
data=()
training_data

stage dump teacher-dump "$teacher" "${data[@]}" --limit "$tokens" --context "$context"
[ -s "$work/ranking.jsonl" ] || layer-distill -q "$work/dump.mts" --start-tokens "${RANK_TOKENS:-16K}" "${mixer[@]}" \
    --suggest-keep 10K --json >"$work/ranking.jsonl"

# kept KIND NUMBER FROM: what --keep takes, the first NUMBER of the ranking of layers or heads, or the last ones
kept() {
    python3 -c 'import json, sys
kind, number, end = sys.argv[2:]
ranking = [r for r in map(json.loads, open(sys.argv[1])) if (r["head"] is None) == (kind == "layers")]
chosen = ranking[:int(number)] if end == "first" else ranking[::-1][:int(number)]
print(*sorted(str(r["layer"]) + ("" if r["head"] is None else ":%d" % r["head"]) for r in chosen), sep=",")' \
        "$work/ranking.jsonl" "$@"
}
: >"$work/rows.jsonl"
# row KIND NUMBER FIRST|LAST: one student, made and measured
row() {
    local file list
    file=$1-$2-$3
    [ "$2" != 0 ] || file=none
    list=$(kept "$@")
    stage "$file" layer-distill "$work/dump.mts" --steps 0 --start-tokens "$tokens" "${mixer[@]}" \
        ${list:+--keep "$list"}
    [ -s "$work/$file.json" ] || evaluate -q "$work/$file.mts" --against "$teacher" --text "$text" \
        --context "$context" --limit "${LIMIT:-8K}" --json -f -o "$work/$file.json"
    tensor-stream list -q "$work/$file.mts" --json >"$work/list.jsonl"
    python3 -c 'import json, sys
results = json.load(open(sys.argv[1]))["results"]["text"]
model = [line for line in map(json.loads, open(sys.argv[2])) if "model" in line][0]["model"]
print(json.dumps({"kind": sys.argv[3], "number": int(sys.argv[4]), "from": sys.argv[5], "kept": sys.argv[6],
                  "state_bytes": model["state_bytes"] or 0, **results}))' \
        "$work/$file.json" "$work/list.jsonl" "$@" "$list" >>"$work/rows.jsonl"
}
layers=$(grep -c '"head": *null' "$work/ranking.jsonl")
for end in first last; do
    for ((number = 0; number < layers; ++number)); do
        row layers "$number" $end
    done
    for number in 0 "${heads[@]}"; do
        row heads "$number" $end
    done
done

python3 - "$work" <<'END' | tee "$work/table.md"
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1] + "/rows.jsonl")]
names = {"first": "costliest", "last": "cheapest"}
pair = lambda x, digits: "%.*f +- %.*f" % (digits, x["value"], digits, x["stderr"])
print("| kept | which | perplexity | over the teacher's | KL, nats | same first choice | KB a sequence |")
print("| --- " * 7 + "|")
with open(sys.argv[1] + "/table.tsv", "w") as table:
    for kind in ("layers", "heads"):
        for end in ("first", "last"):
            print(json.dumps("%s, %s first" % (kind, names[end])), "ratio", "stderr", sep="\t", file=table)
            for row in rows:
                if (row["kind"], row["from"]) == (kind, end):
                    ratio = row["against"]["perplexity_ratio"]
                    print(row["state_bytes"] / 1000, ratio["value"], ratio["stderr"], sep="\t", file=table)
                    if row["number"] > 0 or (kind, end) == ("layers", "first"):
                        print("| %s | %s | %s | %s | %.3f | %.3f | %.0f |" % (
                            "nothing" if row["number"] == 0 else "%d %s" % (row["number"], kind),
                            "" if row["number"] == 0 else "the %s: %s" % (names[end], row["kept"]),
                            pair(row["token_perplexity"], 2), pair(ratio, 3), row["against"]["kl"]["value"],
                            row["against"]["agreement"]["value"], row["state_bytes"] / 1000))
            print("\n", file=table)
END
picture "$work/$name.svg" <<END
set xlabel "KB a sequence at the longest context"; set ylabel "perplexity over the teacher's"
plot for [i=0:3] "$work/table.tsv" index i using 1:2:3 with yerrorlines pt 7 ps 0.6 lw 2 title columnheader(1)
END

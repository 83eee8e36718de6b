#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Scavenging Hyena's table of tasks, with what it lacks: the baseline that does not look, error bars, and a paired test
# of every student against the teacher on the same items.
#
#   STUDENTS="tuned.mts recurrence.mts" TASKS=folder/ WORK=tasks-table examples/tasks-table.sh
#
# TEACHER is a model folder. STUDENTS are model streams; without any, two are made: the closed start of the default
# convolution, alone and beside a softmax window of WINDOW tokens (TOKENS tokens of the teacher's samples, CONTEXT).
# TASKS is a folder of NAME.jsonl with the names of evaluate(1); without one, two tasks are made of TEXT: `choices`
# (which of four passages goes on?) and `lambada_openai` (the last word of a sentence). LIMIT items of each. WORK
# receives table.md and, of each student, its JSON and the log-likelihoods of every item. What is there is not made
# again.
set -euo pipefail
# shellcheck source=examples/studies/common
. "$(dirname "$0")/studies/common"

teacher=${TEACHER:-$root/share/teachers/bookworm}
text=${TEXT:-$root/share/texts/emma-opening.txt}
work=${WORK:-tasks-table}
context=${CONTEXT:-512}
mkdir -p "$work"

read -ra students <<<"${STUDENTS:-}"
if [ ${#students[@]} = 0 ]; then
    dump=$work/dump.mts
    [ -s "$dump" ] || teacher-dump -q "$teacher" --sample --limit "${TOKENS:-200K}" --context "$context" -f -o "$dump"
    for window in 0 "${WINDOW:-16}"; do
        student=$work/window-$window.mts
        [ -s "$student" ] || layer-distill -q "$dump" --steps 0 --window "$window" -f -o "$student"
        students+=("$student")
    done
fi

distinct .mts "${students[@]}"

tasks=${TASKS:-$work/tasks}
if [ -z "${TASKS:-}" ]; then
    mkdir -p "$tasks"
    python3 - "$text" "$tasks" <<'END'
import json, random, re, sys
text = re.sub(r"\s+", " ", open(sys.argv[1], encoding="utf-8").read())
draw = random.Random(1)
words = text.split(" ")
starts = range(40, len(words) - 20, 30)
with open(sys.argv[2] + "/choices.jsonl", "w", encoding="utf-8") as file:
    for at in starts:
        passage = lambda start: " ".join(words[start:start + 8])
        others = [s for s in draw.sample(starts, min(len(starts), 12)) if abs(s - at) > 60][:3]
        choices = [passage(s) for s in [at] + others]
        gold = draw.randrange(len(choices))
        choices[0], choices[gold] = choices[gold], choices[0]
        if len(set(choices)) == 4:
            print(json.dumps({"context": " ".join(words[at - 40:at]), "choices": choices, "gold": gold}), file=file)
with open(sys.argv[2] + "/lambada_openai.jsonl", "w", encoding="utf-8") as file:
    for end in re.finditer(r"(?<= )[a-z]+(?=[.;!?] )", text):
        before = text[max(0, end.start() - 2000):end.start()].split(" ")[-60:]
        if len(before) == 60:
            print(json.dumps({"text": " ".join(before) + end.group()}), file=file)
END
fi
for file in "$tasks"/*.jsonl; do
    name=$(basename "$file" .jsonl)
    files+=("$name=$file")
done

for student in "${students[@]}"; do
    name=$(basename "$student" .mts)
    [ -s "$work/$name.json" ] || evaluate -q "$student" --against "$teacher" --task "${files[@]}" \
        --context "$context" --limit "${LIMIT:-200}" --json --per-item "$work/$name.jsonl" -f -o "$work/$name.json"
done
python3 - "$work" "${students[@]}" >"$work/table.md" <<'END'
import json, pathlib, sys
work = pathlib.Path(sys.argv[1])
runs = {pathlib.Path(s).stem: json.load(open(work / (pathlib.Path(s).stem + ".json")))["results"] for s in sys.argv[2:]}
show = lambda x: "%.3f +- %.3f" % (x["value"], x["stderr"] or 0)
def beside(result, difference):
    return "%s (%+.3f +- %.3f, p %.2g)" % (show(result), difference["value"], difference["stderr"] or 0,
                                           difference["mcnemar_p"])
print("| task | n | majority | teacher | " + " | ".join(runs) + " |")
print("| --- " * (4 + len(runs)) + "|")
first = next(iter(runs.values()))
for task, results in first.items():
    for measure in ("acc", "acc_norm"):
        if measure in results:
            cells = [beside(run[task][measure], run[task]["against"][measure + "_difference"]) for run in runs.values()]
            print(f"| {task} {measure} | {results['n']} | {results['majority']:.3f} | "
                  f"{show(results['against'][measure])} | " + " | ".join(cells) + " |")
    if "perplexity" in results:
        cells = []
        for run in runs.values():
            ratio = run[task]["against"]["perplexity_ratio"]
            cells.append("%.4g (x %.3f +- %.3f)" %
                         (run[task]["perplexity"]["value"], ratio["value"], ratio["stderr"] or 0))
        print(f"| {task} perplexity | {results['n']} | | {results['against']['perplexity']['value']:.4g} | "
              + " | ".join(cells) + " |")
END
cat "$work/table.md" # in brackets: the difference to the teacher, its paired error, McNemar's exact p

# SPDX-License-Identifier: Apache-2.0
# Accuracies with their baseline and errors, another model beside, and records of the items that add up to them.
evaluate "$teacher" --task choices=choices.jsonl lambada_openai=lambada.jsonl --json --per-item items.jsonl >report.json
python3 - <<'END'
import json, math
results = json.load(open("report.json"))["results"]
items = [json.loads(line) for line in open("items.jsonl")]
choices = [i for i in items if i["task"] == "choices"]
right = [max(range(len(i["ll"])), key=lambda k: i["ll"][k]) == i["gold"] for i in choices]
acc, n = sum(right) / len(right), len(right)
assert results["choices"]["acc"]["value"] == acc, results
assert math.isclose(results["choices"]["acc"]["stderr"], math.sqrt(acc * (1 - acc) / (n - 1)), abs_tol=1e-12)
assert results["choices"]["majority"] == 0.75 and results["choices"]["n"] == 4
assert math.isclose(results["choices"]["chance"], (1 / 3 + 3 / 2) / 4)
words = [i["ll"][0] for i in items if i["task"] == "lambada_openai"]
assert math.isclose(results["lambada_openai"]["perplexity"]["value"], math.exp(-sum(words) / 3))
END
# One by one, on one thread, in another order: the same bits.
for i in 1 2 3 4; do
    sed -n ${i}p choices.jsonl >one.jsonl
    evaluate "$teacher" -t 1 --task choices=one.jsonl --json --per-item one-item.jsonl -f >/dev/null
    sed 's/"item": 0/"item": '$((i - 1))'/' one-item.jsonl
done >apart.jsonl
grep '"choices"' items.jsonl | cmp - apart.jsonl
# A context of white space is none; choices with a beginning in common may be longer than the model has positions.
printf '{"context": " ", "continuation": "word"}\n' >blank.jsonl
evaluate "$teacher" --task loglikelihood=blank.jsonl >/dev/null
printf '{"context": "%s", "choices": ["one", "two"], "gold": 0}\n' "$(yes word | sed 600q | tr '\n' ' ')" >long.jsonl
evaluate "$teacher" --context 1024 --task choices=long.jsonl --json >/dev/null
# Against itself nothing differs.
evaluate "$teacher" --against "$teacher" --task choices=choices.jsonl --text "$text" --limit 500 --context 64 --json |
    python3 -c '
import json, sys
results = json.load(sys.stdin)["results"]
difference = results["choices"]["against"]["acc_difference"]
assert difference["value"] == 0 and difference["only_this"] == 0 and difference["mcnemar_p"] == 1, results
against = results["text"]["against"]
assert against["perplexity_ratio"]["value"] == 1 and abs(against["kl"]["value"]) < 1e-9, results
assert against["agreement"]["value"] == 1'

# SPDX-License-Identifier: Apache-2.0
# A student measured as its recurrence and as its convolution: the same to rounding, on texts and on tasks.
teacher-dump "$teacher" --text "$text" --limit 2K --context 64 --batch 8 |
    layer-distill --length 64 --order 8 -o student.mts
for mode in recurrent exact; do
    evaluate student.mts --mode $mode --against "$teacher" --text "$text" --limit 500 --context 64 \
        --task choices=choices.jsonl --json --per-item $mode.jsonl
done | python3 -c '
import json, math, sys
one, two = (json.loads(line) for line in sys.stdin)
assert (one["mode"], two["mode"]) == ("recurrent", "exact")
for a, b in ((one, two),):
    a, b = a["results"], b["results"]
    assert math.isclose(a["text"]["token_perplexity"]["value"], b["text"]["token_perplexity"]["value"], rel_tol=1e-3)
    assert a["text"]["against"]["kl"]["value"] > 0
items = [[json.loads(line) for line in open(f"{mode}.jsonl")] for mode in ("recurrent", "exact")]
for a, b in zip(*items):
    if a["task"] == "choices":
        assert all(abs(x - y) < 1e-2 for x, y in zip(a["ll"], b["ll"])), (a, b)'
try evaluate student.mts --mode attention --task choices=choices.jsonl 2>&1

# SPDX-License-Identifier: Apache-2.0
# --patience ends a training that gets worse on --valid, and the best weights are written.
head -c 1500 "$text" >short.txt
tune --text "$text" --lr 0.02 --warmup 0 --steps 100 --valid short.txt --patience 2 --log log.jsonl -o out.mts
fine-tune out.mts --context 64 --text "$text" --steps 1 --valid short.txt --log again.jsonl -o again.mts
python3 - <<'EOF2'
import json
read = lambda name: [json.loads(line) for line in open(name)]
lines = read("log.jsonl")
looks = [line["perplexity"] for line in lines if "perplexity" in line]
steps = [line["step"] for line in lines if "loss" in line]
assert steps[-1] < 100, steps[-1]
assert len(looks) - 1 - looks.index(min(looks)) == 2, looks
first = read("again.jsonl")[0]["perplexity"]
assert abs(first - min(looks)) < 1e-6 * first, (first, looks)
EOF2

# SPDX-License-Identifier: Apache-2.0
# --valid of a token file: rows of --context + 1 are each one input and all it predicts.
teacher-dump "$teacher" --text "$text" --context 65 --batch 8 --limit 520 --show tokens --no-model |
    tensor-stream get batches.0.tokens - -o rows.npy
tune --text "$text" --steps 1 --lr 0 --valid rows.npy --log log.jsonl -o out.mts
evaluate student.mts --tokens rows.npy --context 65 --json >scores.json
python3 - <<'EOF2'
import json
told = json.loads(open("log.jsonl").readline())["perplexity"]
text = json.load(open("scores.json"))["results"]["text"]
assert text["tokens"] == 8 * 64, text
assert abs(told - text["token_perplexity"]["value"]) < 1e-5 * told, (told, text)
EOF2

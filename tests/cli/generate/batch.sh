# SPDX-License-Identifier: Apache-2.0
# Texts depend neither on batch nor on threads; end-of-line marks of the prompts are no part of them.
printf 'It was\nThe sea\r\nA\nOnce upon a time there was\nIt was\nThey' >prompts
teacher-dump -q "$teacher" --sample --limit 2K --context 64 >dump.mts
layer-distill -q --steps 0 --order 8 dump.mts -o plain.mts
layer-distill -q --steps 0 --order 8 --window 5 --keep 1,2:0 --mixer multihyena dump.mts -o mixed.mts
for model in "$teacher" plain.mts mixed.mts; do
    for precision in f32 int8; do
        run() { generate -q "$model" -n 20 --precision "$precision" --prompts-file prompts "$@"; }
        run --batch 1 -o a.jsonl -f
        [ ! -e a.jsonl.partial ]
        run --batch 6 --threads 1 >b.jsonl
        cmp a.jsonl b.jsonl
        run --batch 2 --threads 3 | cmp a.jsonl -
    done
done
generate -q plain.mts --mode exact -n 9 --prompts-file prompts --batch 1 >a.jsonl
generate -q plain.mts --mode exact -n 9 --prompts-file prompts --batch 4 | cmp a.jsonl -
python3 - <<'END'
import json
lines = [json.loads(line) for line in open("b.jsonl")]
assert [line["prompt"] for line in lines] == list(range(6))
assert all(len(line["ids"]) == 20 and line["end"] == "length" or line["end"] == "end_of_text" for line in lines)
assert lines[0]["text"] != lines[4]["text"], "equal prompts take different random numbers"
END

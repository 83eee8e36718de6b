# SPDX-License-Identifier: Apache-2.0
# Texts depend neither on batch nor on threads; end-of-line marks of the prompts are no part of them.
printf 'It was\nThe sea\r\n\nOnce upon a time\nIt was\nThey' >prompts
generate -q "$teacher" -n 20 --prompts-file prompts --batch 1 -o a.jsonl
generate -q "$teacher" -n 20 --prompts-file prompts --batch 6 --threads 1 >b.jsonl
cmp a.jsonl b.jsonl
[ ! -e a.jsonl.partial ]
python3 - <<'EOF'
import json
lines = [json.loads(line) for line in open("a.jsonl")]
assert [line["prompt"] for line in lines] == list(range(6))
assert all(len(line["ids"]) == 20 and line["end"] == "length" or line["end"] == "end_of_text" for line in lines)
assert lines[0]["text"] != lines[4]["text"], "equal prompts take different random numbers"
EOF

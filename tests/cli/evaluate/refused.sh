# SPDX-License-Identifier: Apache-2.0
# What cannot be evaluated, in one line.
item() { printf '%s\n' "$2" >bad.jsonl; try evaluate "$teacher" --task "$1=bad.jsonl"; }
exec 2>&1
item choices '{"context": "c", "choices": ["x", "y"]}'
item choices '{"context": "c", "choices": ["x", "x"], "gold": 0}'
item choices '{"context": "c", "choices": ["x", ""], "gold": 0}'
item choices '{"context": "c", "choices": ["x", "y"], "gold": 2}'
item choices 'not JSON'
item arc_easy '{"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "C"}'
item loglikelihood '{"context": "c", "continuation": ""}'
item choices ''
printf '{"context": "a", "continuation": "%s"}\n' "$(yes word | sed 600q | tr '\n' ' ')" >bad.jsonl
try evaluate "$teacher" --task loglikelihood=bad.jsonl
try evaluate "$teacher" --task glue=bad.jsonl
try evaluate "$teacher" --task bad.jsonl
try evaluate "$teacher" --task choices=choices.jsonl --task choices=choices.jsonl
try evaluate "$teacher" --task choices=missing.jsonl
: >empty
try evaluate "$teacher" --text empty
try evaluate "$teacher" --wikitext empty
try evaluate "$teacher" --text "$text" --mode recurrent
try evaluate "$teacher" --text "$text" --context 64 --stride 65
try evaluate "$teacher" --text "$text" --first prefix --stride 600
try evaluate "$teacher" --task choices=choices.jsonl --stride 8
printf '\001\000\000\000\002\000\000\000' >ids.bin
try evaluate "$teacher" --tokens ids.bin
try evaluate "$teacher" --text "$text" --precision f32,f32
try evaluate - --text "$text" --precision f32,f64
export STILLHOUSE_LOG_LEVEL=warning
printf '{"query": "q", "choices": ["x", "y", "y"], "gold": 0}\n' >padded.jsonl
try evaluate "$teacher" --task arc_easy=padded.jsonl --context 8 >/dev/null
echo 'Two words.' >short
try evaluate "$teacher" --text short --json >/dev/null
printf '{"context": "%s", "continuation": "word"}\n' "$(yes word | sed 60q | tr '\n' ' ')" >long.jsonl
try evaluate "$teacher" --task lambada_openai=long.jsonl --context 16 --json >/dev/null

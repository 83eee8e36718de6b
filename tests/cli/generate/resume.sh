# SPDX-License-Identifier: Apache-2.0
# A stopped run of many prompts keeps the lines it has, and --resume does the others; the bytes are those of a whole run.
for i in $(seq 150); do echo "It was $i$(printf ' and%.0s' $(seq $((i % 5))))"; done >prompts
run() { generate -q "$teacher" -n 100 --logprobs --prompts-file prompts --threads 1 "$@"; }
# A pipe in the place of the file of finished lines: the run cannot get past what it holds before the signal comes.
mkfifo part.jsonl.partial
generate -q "$teacher" -n 100 --logprobs --prompts-file prompts --threads 1 --batch 7 -o part.jsonl &
pid=$!
exec 3<>part.jsonl.partial
for _ in $(seq 20); do IFS= read -r -t 100 line <&3 && printf '%s\n' "$line"; done >lines
! run --resume -o part.jsonl 2>refused
grep -q '^generate: part.jsonl.partial: another run keeps the lines of this output there' refused
kill -TERM $pid
status=0
wait $pid || status=$?
while IFS= read -r -t 1 line <&3; do printf '%s\n' "$line"; done >>lines      # what the pipe still holds, and
printf '%s' "$line" >>lines                                                    # a torn line behind it
mv lines part.jsonl.partial
[ "$status" = 75 ]
[ ! -e part.jsonl ]
kept=$(wc -l <part.jsonl.partial)
[ "$kept" -gt 19 ] && [ "$kept" -lt 151 ]
cp part.jsonl.partial before
head -n 30 prompts >few
refuse() { ! "$@" 2>refused; grep -q 'other settings' refused; cmp before part.jsonl.partial; }
refuse generate -q "$teacher" --logprobs -n 99 --prompts-file prompts --resume -o part.jsonl
refuse generate -q "$teacher" --logprobs -n 100 --prompts-file few --resume -o part.jsonl
refuse generate -q "$teacher" --logprobs -n 100 --precision bf16 --prompts-file prompts --resume -o part.jsonl
# A line that was altered is named and not believed; without it, its prompt is done again.
damaged() { ! run --resume -o part.jsonl 2>refused; grep -q "part.jsonl.partial: line $1: is damaged" refused; }
sed '7s/"end": "[a-z]*"/"end": "stop"/; 7s/ids/idS/' before >part.jsonl.partial
damaged 7
sed '1s/bookworm/earthworm/; 1s/"-n": /"-n": 1/; 1s/$/ /' before >part.jsonl.partial
damaged 1
sed '5s/.\{40\}$//' before >part.jsonl.partial
damaged 5
sed 5d before >part.jsonl.partial
! run -o part.jsonl 2>refused
grep -q "part.jsonl.partial: holds $((kept - 2)) results of a run; give --resume" refused
run --batch 3 --resume -o part.jsonl
[ ! -e part.jsonl.partial ]
generate -q "$teacher" --logprobs -n 100 --prompts-file few -o few.jsonl
cmp <(head -n 30 part.jsonl) few.jsonl
[ "$(wc -l <part.jsonl)" = 150 ]
run --batch 16 | cmp - part.jsonl

# Where the disc is full, what is finished stays, and the message says what to do with it.
status=0
(trap '' XFSZ; ulimit -f 64; run --batch 3 --threads 1 -o full.jsonl 2>refused) || status=$?
[ "$status" = 4 ]
grep -q '^generate: full.jsonl.*; finished lines are kept in full.jsonl.partial: run again with --resume$' refused
run --resume -o full.jsonl
cmp full.jsonl part.jsonl

# The lines are of the tokenizer and of the states that they go on from, whatever the files are called.
cp -r "$teacher" own
printf 'A\nThe sea\n' >two
generate -q own -n 4 --prompts-file two --save-state state.mts -f -o saved.jsonl
continued=(own -n 5 --prompts-file two --load-state state.mts)
mkfifo next.jsonl.partial
cat next.jsonl.partial >kept &
generate -q "${continued[@]}" -o next.jsonl
wait $!
again() { cp kept next.jsonl.partial; rm -f next.jsonl; generate -q "${continued[@]}" --resume -o next.jsonl; }
again
refuse_again() { ! again 2>refused; grep -q 'other settings' refused; cmp kept next.jsonl.partial; }
generate -q own -n 4 --seed 3 --prompts-file two --save-state state.mts -f -o saved.jsonl
refuse_again
generate -q own -n 4 --prompts-file two --save-state state.mts -f -o saved.jsonl
again
echo '{"eos_token_id": [0, 5]}' >own/generation_config.json
refuse_again

# SPDX-License-Identifier: Apache-2.0
# A stopped run of many prompts keeps the lines it has, and --resume goes on behind them.
for i in $(seq 400); do echo "It was $i"; done >prompts
run() { generate -q "$teacher" -n 100 --prompts-file prompts --batch 1 --threads 1 "$@"; }
generate -q "$teacher" -n 100 --prompts-file prompts --batch 1 --threads 1 -o part.jsonl &
pid=$!
for _ in $(seq 200); do
    [ -e part.jsonl.partial ] && [ "$(wc -l <part.jsonl.partial)" -gt 9 ] && break
    sleep 0.05
done
kill -TERM $pid
status=0
wait $pid || status=$?
[ "$status" = 75 ]
[ ! -e part.jsonl ]
[ "$(wc -l <part.jsonl.partial)" -lt 401 ]
printf '{"torn' >>part.jsonl.partial
! generate -q "$teacher" -n 99 --prompts-file prompts --batch 1 --resume -o part.jsonl 2>refused
grep -q 'other settings' refused
run --resume -o part.jsonl
[ ! -e part.jsonl.partial ]
head -n 30 prompts >few
generate -q "$teacher" -n 100 --prompts-file few -o few.jsonl
cmp <(head -n 30 part.jsonl) few.jsonl
[ "$(wc -l <part.jsonl)" = 400 ]

# SPDX-License-Identifier: Apache-2.0
# Prompts read by the filters and handed over: alone and in a batch, kept and gone on from; where the modes are the
# filters (a text no longer than they are) it gives the text of the scan.
teacher-dump -q "$teacher" --sample --limit 2K --context 64 | layer-distill -q --steps 0 --order 8 -o student.mts
head -c 60 "$SOURCE/share/texts/emma-opening.txt" | tr '\n' ' ' >prompt
{ cat prompt; printf '\nIt was\n'; } >prompts
exact() { generate -q student.mts --prefill exact --greedy -n 12 --ids "$@"; }
exact --prompt-file prompt >text
generate -q student.mts --greedy -n 12 --ids --prompt-file prompt | cmp - text
for batch in 1 2; do
    generate -q student.mts --prefill exact --greedy -n 12 --prompts-file prompts --batch $batch >lines.$batch
done
cmp lines.1 lines.2
exact -n 5 --prompt-file prompt --save-state state.mts >first
generate -q student.mts --greedy -n 7 --ids --load-state state.mts >second
[ "$(cat first),$(cat second)" = "$(cat text)" ]
! exact --load-state state.mts 2>refused
grep -q 'leave one of them' refused
! exact --mode exact --prompt a 2>refused
grep -q 'only a recurrence is handed over to' refused

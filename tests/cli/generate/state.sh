# SPDX-License-Identifier: Apache-2.0
# A saved state goes on as if nothing had been between, in another process; it knows which model and arithmetic it is
# of; many prompts keep as many states.
teacher-dump -q "$teacher" --sample --limit 2K --context 64 >dump.mts
layer-distill -q --steps 0 --order 8 dump.mts -o plain.mts
layer-distill -q --steps 0 --order 8 --window 5 --keep 1,2:0 dump.mts -o mixed.mts
goes_on() {
    generate -q "$@" -n 30 --ignore-eos --prompt 'It was' --ids >whole
    generate -q "$@" -n 12 --ignore-eos --prompt 'It was' --ids --save-state state.mts -f >first
    generate -q "$@" -n 18 --ignore-eos --load-state state.mts --ids >second
    [ "$(cat first),$(cat second)" = "$(cat whole)" ]
    # Nothing generated, then in two steps, of which the first overwrites what it was loaded from.
    generate -q "$@" -n 0 --prompt 'It was' --save-state state.mts -f
    generate -q "$@" -n 10 --ignore-eos --load-state state.mts --ids --save-state next.mts -f >first
    generate -q "$@" -n 20 --ignore-eos --load-state next.mts --ids >second
    [ "$(cat first),$(cat second)" = "$(cat whole)" ]
}
goes_on "$teacher"
goes_on "$teacher" --greedy
goes_on "$teacher" --precision int8 --seed 7
goes_on plain.mts
goes_on plain.mts --precision bf16 --top-k 9
goes_on plain.mts --mode exact
goes_on mixed.mts --temperature 0.8
goes_on mixed.mts --mode exact --filters modes

# A text in two parts is the text.
generate -q plain.mts -n 0 --prompt 'It was a dark and' --save-state state.mts -f
generate -q plain.mts --greedy -n 8 --load-state state.mts --prompt ' stormy night' --ids >parts
generate -q plain.mts --greedy -n 8 --prompt 'It was a dark and stormy night' --ids | cmp - parts

# Many at once.
printf 'It was\nThe sea and the\nA\n' >prompts
generate -q plain.mts -n 14 --prompts-file prompts | python3 -c 'import json, sys
for line in sys.stdin: print(json.loads(line)["ids"])' >whole
for batch in 1 3; do
    generate -q plain.mts -n 5 --prompts-file prompts --save-state many.mts --batch $batch -f -o first.jsonl
    printf '\n\n\n' | generate -q plain.mts -n 9 --prompts-file - --load-state many.mts -f -o second.jsonl
    python3 - <<'END' | cmp - whole
import json
for a, b in zip(open("first.jsonl"), open("second.jsonl")):
    print(json.loads(a)["ids"] + json.loads(b)["ids"])
END
done

# The bytes of a state do not depend on who was beside it, nor on who had its place before.
printf 'It was\n%s\nThe sea and the\nA\n' "$(seq -s ' ' 400)" >uneven
for batch in 1 2 3; do
    generate -q plain.mts --mode exact -n 5 --prompts-file uneven --save-state state$batch.mts --batch $batch -f -o x
done
cmp state1.mts state2.mts
cmp state1.mts state3.mts

refused() { ! "$@" 2>refused; [ "$(wc -l <refused)" = 1 ]; cat refused; }
refused generate -q plain.mts -n 5 --load-state state.mts --precision f64
refused generate -q plain.mts -n 5 --load-state state.mts --precision bf16 --head-precision int8
refused generate -q plain.mts -n 5 --load-state state.mts --mode exact
refused generate -q mixed.mts -n 5 --load-state state.mts | sed 's/model .*/model/'
refused generate -q plain.mts -n 5 --load-state many.mts --prompt a
refused generate -q plain.mts -n 5 --load-state plain.mts
head -c 3000 state.mts >cut.mts
refused generate -q plain.mts -n 5 --load-state cut.mts
refused generate -q plain.mts -n 5 --load-state missing.mts --save-state never.mts
[ ! -e never.mts ]

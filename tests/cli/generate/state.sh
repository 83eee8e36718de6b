# SPDX-License-Identifier: Apache-2.0
# A saved state goes on as if nothing had been between; it knows which model and arithmetic it is of.
generate -q "$teacher" -n 30 --prompt 'It was' --ids >whole
generate -q "$teacher" -n 12 --prompt 'It was' --ids --save-state state.mts >first
generate -q "$teacher" -n 18 --load-state state.mts --ids >second
[ "$(cat first),$(cat second)" = "$(cat whole)" ]
generate -q "$teacher" -n 0 --prompt 'It was' --save-state before.mts
generate -q "$teacher" -n 30 --load-state before.mts --ids | cmp - whole
! generate -q "$teacher" -n 5 --load-state state.mts --precision f64 2>refused
grep -q "the state is of precision 'f32', not 'f64'" refused
! generate -q "$teacher" -n 5 --load-state damaged.mts 2>/dev/null
# A model without attention has no last position: a state kept takes no token away.
teacher-dump -q "$teacher" --sample --limit 512 --context 32 | layer-distill -q --steps 0 -o student.mts
for mode in recurrent exact; do
    generate -q student.mts --mode "$mode" --prompt 'It was' -n 6 --ignore-eos --ids >whole.$mode
    generate -q student.mts --mode "$mode" --prompt 'It was' -n 6 --ignore-eos --ids --save-state $mode.mts |
        cmp - whole.$mode
done

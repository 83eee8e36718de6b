# SPDX-License-Identifier: Apache-2.0
# What layer-distill says at the end: of each layer how much it explains, before and after; an input that was too short.
unset STILLHOUSE_LOG_LEVEL
dump -q -o dump.mts
layer-distill dump.mts --length 64 --order 4 --steps 100 --batch 8 -v --report report.json -o out.mts 2>message
grep -q 'warning: the input ended after [0-9]* of 100 steps; give a longer dump, or --epochs$' message || cat message
grep -q 'explained variance [0-9.]* % to [0-9.]* %' message || cat message
[ "$(grep -c 'layer [0-9] explains [0-9.]* % of the teacher.s step before, [0-9.]* % after' message)" = 4 ] || cat message
python3 - <<'EOF'
import json
layers = json.load(open("report.json"))["layers"]
assert [layer["layer"] for layer in layers] == [0, 1, 2, 3], layers
for layer in layers:
    assert layer["explained_before"] < layer["explained_after"] < 1, layer
    assert layer["explained_first"] == 1 - layer["loss_first"], layer
    assert layer["explained_last"] == 1 - layer["loss_last"] and 0 < layer["explained_last"] < 1, layer
EOF
layer-distill dump.mts --length 64 --order 4 --steps 2 -f -o out.mts 2>message
! grep warning message
# a --limit that the text did not reach
head -c 4000 "$text" >short.txt
teacher-dump -q "$teacher" --text short.txt --limit 1M --context 64 --batch 4 -o short.mts
layer-distill short.mts --length 64 --order 4 -f -o out.mts 2>message
grep -q 'warning: the input ended after [0-9]* of the [0-9]* steps that the --limit of teacher-dump promised' message ||
    cat message
# activations are all that is read: tokens may be gone
tensor-stream select -q dump.mts --drop 'batches.*.tokens' -o bare.mts
layer-distill -q dump.mts --length 64 --order 4 --steps 2 --batch 3 --no-history -f -o whole.mts
layer-distill -q bare.mts --length 64 --order 4 --steps 2 --batch 3 --no-history -f -o out.mts
tensor-stream diff -q whole.mts out.mts

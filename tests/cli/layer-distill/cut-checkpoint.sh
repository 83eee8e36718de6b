# SPDX-License-Identifier: Apache-2.0
# A checkpoint that was cut short is refused, and the one before it used; the result is the same.
dump -o dump.mts
distil dump.mts -o whole.mts
least=2 ended KILL 4 distil dump.mts -o out.mts
newest=$(ls kept | tail -n 1)
[ "$(ls kept | wc -l)" -ge 2 ] || ls kept
truncate -s -100 "kept/$newest"
STILLHOUSE_LOG_LEVEL=warning goes_on distil dump.mts -o out.mts 2>message
grep -q "warning: kept/$newest: .*; the checkpoint before it is used" message || cat message
cmp whole.mts out.mts

# both: the training begins anew, and says why
rm -r out.mts
least=2 ended KILL 4 distil dump.mts -o out.mts
for file in kept/*; do printf '\0' | dd of="$file" bs=1 seek=5000 conv=notrunc status=none; done
STILLHOUSE_LOG_LEVEL=warning goes_on distil dump.mts -o out.mts 2>message
[ "$(grep -c 'warning: kept/' message)" -ge 2 ] || cat message
cmp whole.mts out.mts

# SPDX-License-Identifier: Apache-2.0
# What the model draws depends on the seed and the row, not on the batch; a shorter dump is the beginning of a longer one.
tokens() {
    teacher-dump -q "$teacher" --sample --context 40 "$@" --show residual --layers 0 --no-model |
        tensor-stream get -q 'batches.*.tokens' - >"$out"
}
out=a tokens --limit 480 --batch 3
out=b tokens --limit 480 --batch 12
cmp a b
out=c tokens --limit 200 --batch 3
cmp <(head -c "$(stat -c %s c)" a) c
out=d tokens --limit 480 --batch 3 --seed 9
! cmp -s a d
[ "$(stat -c %s a)" = $((480 * 8)) ]
# Skipped batches leave the numbers of the others.
teacher-dump -q "$teacher" --sample --context 40 --limit 480 --batch 3 --skip 3 --no-model -o skipped.mts
tensor-stream list -q skipped.mts | grep -o 'batches.[0-9]*.tokens'

# SPDX-License-Identifier: Apache-2.0
# A loss that diverges ends the training: exit 1, no output, a checkpoint from before, advice.
dump -o dump.mts
status=0
STILLHOUSE_LOG_LEVEL=warning distil dump.mts --lr 100 --warmup 0 --clip 0 --epochs 4 --checkpoint kept \
    --checkpoint-every 0s -o out.mts 2>message || status=$?
[ "$status" = 1 ] || echo "exit $status"
[ ! -e out.mts ] || echo "an output"
grep -q 'warning: .*diverges.*lower --lr.*before it is kept in kept\|warning: .*not finite.*lower --lr.*kept in kept' message || cat message
[ "$(ls kept)" != "" ] || echo "no checkpoint"
for file in kept/*; do tensor-stream check -q "$file"; done

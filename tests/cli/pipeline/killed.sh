# SPDX-License-Identifier: Apache-2.0
# A producer killed in the middle of a pipe, without pipefail: every later stage fails, nothing bears a final name.
set +o pipefail +e
for victim in teacher-dump layer-distill; do
    mkfifo "$victim.fifo"
    if [ "$victim" = teacher-dump ]; then
        teacher-dump "$teacher" --sample --limit 400K --context 64 >"$victim.fifo" &
    else
        { dump; sleep 30; } | distil >"$victim.fifo" &
    fi
    producer=$!
    hankel-spectrum -k 4 --orders none -o "$victim.mts" <"$victim.fifo" 2>"$victim.message" &
    consumer=$!
    sleep 1
    kill -KILL "$producer"
    pkill -KILL -P "$producer"
    wait "$consumer"
    [ $? = 3 ] || { echo "$victim: the stage after it did not refuse the cut stream"; cat "$victim.message"; }
    [ ! -e "$victim.mts" ] || echo "$victim: an output bears its final name"
done
ls -A | grep '\.part$'
true

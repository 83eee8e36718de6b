# SPDX-License-Identifier: Apache-2.0
# A producer killed in the middle of a pipe, without pipefail: every later stage fails, nothing bears a final name.
set +o pipefail +e
cut() {
    local victim=$1 producer consumer
    mkfifo "$victim.fifo"
    if [ "$victim" = teacher-dump ]; then
        teacher-dump "$teacher" --sample --limit 400K --context 64 >"$victim.fifo" &
        producer=$!
    else
        mkfifo dump.fifo
        { dump; sleep 4; } >dump.fifo &
        layer-distill --length 64 --order 8 dump.fifo >"$victim.fifo" &
        producer=$!
    fi
    hankel-spectrum -k 4 --orders none -o "$victim.mts" <"$victim.fifo" 2>"$victim.message" &
    consumer=$!
    sleep 1
    disown "$producer"                    # or the shell would tell of its death
    kill -KILL "$producer"
    wait "$consumer"
    [ $? = 3 ] || { echo "$victim: the stage after it did not refuse the cut stream"; cat "$victim.message"; }
    [ ! -e "$victim.mts" ] || echo "$victim: an output bears its final name"
}
{
    cut teacher-dump
    cut layer-distill
} 2>/dev/null
ls -A | grep '\.part$'
true

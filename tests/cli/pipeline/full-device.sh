# SPDX-License-Identifier: Apache-2.0
# Where the output is full every tool says so and exits with 4.
dump -o dump.mts
distil dump.mts --steps 0 -o student.mts
modal-fit student.mts --order 4 -o modes.mts
realize-ssm modes.mts -o recurrence.mts
full() {
    local status=0
    "$@" >/dev/full 2>message || status=$?
    [ "$status" = 4 ] || { echo "$1: exit $status"; cat message; }
    [ "$(wc -l <message)" = 1 ] || { echo "$1:"; cat message; }
}
full dump
full distil dump.mts --steps 0
full hankel-spectrum student.mts -k 4 --orders none
full modal-fit student.mts --order 4
full realize-ssm modes.mts
full generate recurrence.mts --prompt "It was a" -n 4
full fine-tune student.mts --text "$text" --steps 1 --context 32
full evaluate recurrence.mts --text "$text" --limit 64 --context 32
full tensor-stream cat student.mts
full tensor-stream get layers.0.mixer.filter student.mts

# SPDX-License-Identifier: Apache-2.0
# Killed and stopped, and run again: the bytes of the run that nobody stopped, at another number of threads too. No
# checkpoint stays when the output is whole.
dump -o dump.mts
check() {
    distil dump.mts "$@" -f -o whole.mts
    ended KILL 2 distil dump.mts "$@" --threads 1 -f -o out.mts
    ended TERM 5 distil dump.mts "$@" -f -o out.mts
    [ ! -e out.mts ] || echo "$*: an output of a run that was stopped"
    goes_on distil dump.mts "$@" --threads 1 -f -o out.mts
    cmp whole.mts out.mts || echo "$*"
    [ "$(ls kept)" = "" ] || ls kept
    rm out.mts
}
check --epochs 2 --accumulate 2 --window 4 --taps 2 --dropout 0.1
dump --skip 3 -f -o dump.mts # from the first checkpoint, of no step, too
ended KILL 0 distil dump.mts --batch 4 -f -o out.mts
goes_on distil dump.mts --batch 4 -f -o out.mts
rm out.mts
dump -f -o dump.mts
check --schedule progressive --steps 3 --weight-decay 0.1

# SPDX-License-Identifier: Apache-2.0
# Killed and stopped, and run again: the bytes of the run that nobody stopped, whatever the rows come from.
check() {
    tune "$@" -f -o whole.mts
    ended KILL 2 tune "$@" --threads 1 -f -o out.mts
    ended TERM 5 tune "$@" -f -o out.mts
    [ ! -e out.mts ] || echo "$*: an output of a run that was stopped"
    goes_on tune "$@" --threads 1 -f -o out.mts
    cmp whole.mts out.mts || echo "$*"
    [ "$(ls kept)" = "" ] || ls kept
    rm out.mts
}
head -c 1500 "$text" >short.txt
check --text short.txt --teacher "$teacher" --steps 8 --ema 0.9 --dropout 0.1 --valid short.txt
check --sample --steps 7 --freeze 'embed.*'
teacher-dump "$teacher" --text short.txt --context 64 --batch 1 --show tokens,logits --top-k 16 --no-model -o top.mts
tune() { ${exec-} fine-tune student.mts "$@"; }
check --dump top.mts --loss ce+kl --steps 10

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The pipeline of the README cut into files, with end-to-end training between: every attention becomes a convolution,
# the whole student learns the teacher's distribution, each filter becomes ORDER modes; the recurrence is measured.
#
#   TOKENS=400K STEPS=60 BATCH=8 ORDER=16 CONTEXT=512 LIMIT=20K WORK=whole-model examples/whole-model.sh
#
# TEACHER is a model folder, TEXT a file to measure on, TRAIN one to train on (default: the teacher's own samples).
# A stage whose output is there is not run again: remove a file, and those after it, to go on from there.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
PATH=$PATH:$root/build/bin # tools on the path go first

teacher=${TEACHER:-$root/share/teachers/bookworm}
text=${TEXT:-$root/share/texts/emma-opening.txt}
work=${WORK:-whole-model}
order=${ORDER:-16}
context=${CONTEXT:-512}
data=(--sample)
[ -z "${TRAIN:-}" ] || data=(--text "$TRAIN")

mkdir -p "$work"
# stage FILE COMMAND...: runs the command to make FILE, which bears its name only when it is whole
stage() {
    local file=$work/$1
    shift
    [ -s "$file" ] || "$@" -o "$file"
}

stage dump.mts teacher-dump "$teacher" "${data[@]}" --limit "${TOKENS:-400K}" --context "$context"
stage student.mts layer-distill "$work/dump.mts" --order "$order"
stage tuned.mts fine-tune "$work/student.mts" --teacher "$teacher" "${data[@]}" \
    --steps "${STEPS:-60}" --batch "${BATCH:-8}" --context "$context"
stage spectrum.mts hankel-spectrum "$work/tuned.mts"
stage modes.mts modal-fit "$work/spectrum.mts" --order "$order"
stage recurrence.mts realize-ssm "$work/modes.mts" --check --drop-exact

evaluate "$work/recurrence.mts" --mode recurrent --against "$teacher" --text "$text" --context "$context" \
    --limit "${LIMIT:-20K}" -f -o "$work/evaluation.txt"
cat "$work/evaluation.txt"

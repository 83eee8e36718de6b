#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One attention becomes a convolution, all others stay (--keep): what does this one layer cost? The student is measured
# against its teacher on a text that neither has read.
#
#   LAYER=1 TOKENS=100K CONTEXT=512 LIMIT=20K WORK=one-layer examples/one-layer.sh
#
# TEACHER is a model folder, TEXT a file; WORK receives student.mts and evaluation.txt.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
PATH=$PATH:$root/build/bin # tools on the path go first

teacher=${TEACHER:-$root/share/teachers/bookworm}
text=${TEXT:-$root/share/texts/emma-opening.txt}
work=${WORK:-one-layer}
layer=${LAYER:-1}
context=${CONTEXT:-512}

layers=$(sed -n 's/.*"num_hidden_layers": *\([0-9]*\).*/\1/p' "$teacher/config.json")
keep=$(seq 0 $((layers - 1)) | sed "/^$layer\$/d" | paste -sd,)
mkdir -p "$work"

teacher-dump "$teacher" --sample --limit "${TOKENS:-100K}" --context "$context" -f -o "$work/dump.mts"
layer-distill "$work/dump.mts" --keep "$keep" -f -o "$work/student.mts"

echo "Layer $layer of $layers is a convolution; attention is kept in $keep."
evaluate "$work/student.mts" --against "$teacher" --text "$text" --context "$context" --limit "${LIMIT:-20K}" \
    -f -o "$work/evaluation.txt"
cat "$work/evaluation.txt"

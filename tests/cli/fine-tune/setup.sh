# SPDX-License-Identifier: Apache-2.0
# A small student to train on, and ways to end a training in the middle.
. "$SOURCE/tests/cli/layer-distill/setup.sh"
dump | layer-distill --length 64 --order 4 --steps 0 -o student.mts
tune() { ${exec-} fine-tune student.mts --context 64 --batch 2 "$@"; }

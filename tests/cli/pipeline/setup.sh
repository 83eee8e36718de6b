# SPDX-License-Identifier: Apache-2.0
# The whole pipeline at the smallest size, by names that every case uses.
teacher=$SOURCE/share/teachers/bookworm
text=$SOURCE/share/texts/emma-opening.txt
export STILLHOUSE_LOG_LEVEL=error

dump() { teacher-dump "$teacher" --text "$text" --limit 2K --context 64 --batch 8 "$@"; }
distil() { layer-distill --length 64 --order 8 "$@"; }

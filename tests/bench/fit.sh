#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The fit at each effort against the best known errors, and against AdamW on the same files, alternating.
#
# fit.sh BENCH_FIT SHARED PYTHON OUT     SHARED: the folder with data/filters and peers; PYTHON: one that has torch;
# OUT: a folder for the lines (fast.jsonl, normal.jsonl, thorough.jsonl, adamw.jsonl) and reports (fast.json, ...).
set -euo pipefail
bench=$1 shared=$2 python=$3 out=$4
filters=$shared/data/filters
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
: > "$out/adamw.jsonl"
: > "$out/fast.jsonl"
for name in hyena_regressed_emb33_w4_L1024 hyena_regressed_emb5_w10_L2048 hyena_trained_charlm_emb33_w14_L1024 \
            hyena_trained_charlm_emb5_w10_L2048; do
    (cd "$shared/peers" && "$python" adamw_modal.py "$filters/$name.npy" --order 16) >> "$out/adamw.jsonl"
    "$bench" fast 16 "$filters/$name.npy" >> "$out/fast.jsonl"
done
for effort in normal thorough; do
    "$bench" $effort 2,4,8,16,32,64 "$filters"/*_L1024.npy "$filters"/*_L2048.npy > "$out/$effort.jsonl"
    "$bench" $effort 4,16 "$filters"/*_L8192.npy "$filters"/*_L65536.npy >> "$out/$effort.jsonl"
done
for effort in fast normal thorough; do
    "$here/fit.py" "$filters/reference.json" "$out/$effort.jsonl" --peer "$out/adamw.jsonl" > "$out/$effort.json"
done

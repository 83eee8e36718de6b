# SPDX-License-Identifier: Apache-2.0
# Shards, joined, are the whole, byte for byte; so is the work of another number of threads.
for what in "--text a.txt b.txt" "--sample --limit 1300"; do
    # shellcheck disable=SC2086  # a list of words
    dump() { teacher-dump -q -f "$teacher" $what --context 48 --batch 5 --show residual,mixer,lag,logits --top-k 4 "$@"; }
    dump -o whole.mts
    for k in 1 2 3; do dump --shard $k/3 -o part$k.mts; done
    tensor-stream cat -q -f part3.mts part1.mts part2.mts -o joined.mts
    cmp whole.mts joined.mts
    dump --threads 1 -o one.mts
    cmp whole.mts one.mts
    dump --shard 1/1 >piped.mts
    cmp whole.mts piped.mts
    ! tensor-stream cat -q -f part3.mts part1.mts -o joined.mts 2>missing
    grep -q 'missing: 2' missing
done

# SPDX-License-Identifier: Apache-2.0
# Any number of threads, and any shards joined: the same bytes.
modal-fit -q --order 6 filters.npy -o in.mts
for form in modal cascade balanced; do
    realize-ssm -q --form $form --threads 1 in.mts -o one.mts -f
    realize-ssm -q --form $form --threads 3 in.mts -o three.mts -f
    cmp one.mts three.mts
    for k in 1 2 3; do
        realize-ssm -q --form $form --shard $k/3 in.mts -o part$k.mts -f
    done
    tensor-stream cat -q part2.mts part3.mts part1.mts -o joined.mts -f
    cmp one.mts joined.mts
done

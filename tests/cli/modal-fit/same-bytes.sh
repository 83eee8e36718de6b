# SPDX-License-Identifier: Apache-2.0
# Any number of threads, and any shards joined: the same bytes.
cp filters.npy a.filter.npy
cp filters.npy b.filter.npy
cp poles.npy c.npy
for input in filters.npy 'a.filter.npy b.filter.npy c.npy'; do
    tensor-stream import -q $input -o in.mts
    modal-fit -q --threads 1 in.mts -o one.mts
    modal-fit -q --threads 3 in.mts -o three.mts
    cmp one.mts three.mts
    for k in 1 2 3; do
        modal-fit -q --shard $k/3 in.mts -o part$k.mts -f
    done
    tensor-stream cat -q part2.mts part3.mts part1.mts -o joined.mts -f
    cmp one.mts joined.mts
    rm -f one.mts three.mts in.mts
done

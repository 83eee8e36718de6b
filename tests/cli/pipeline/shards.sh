# SPDX-License-Identifier: Apache-2.0
# Shards of a dump join to the whole, byte for byte; one that is missing is noticed.
dump --show residual,logits --top-k 3 -o whole.mts
for part in 1 2 3; do
    dump --show residual,logits --top-k 3 --shard $part/3 -o part$part.mts
done
tensor-stream cat part1.mts part2.mts part3.mts -o joined.mts
cmp whole.mts joined.mts
tensor-stream cat part3.mts part1.mts part2.mts -f -o joined.mts
cmp whole.mts joined.mts
status=0
tensor-stream cat part1.mts part3.mts -o short.mts 2>message || status=$?
[ "$status" = 3 ] && [ ! -e short.mts ]
grep -q '2' message

teacher-dump "$teacher" --sample --limit 1280 --context 64 --batch 4 --seed 3 -o drawn.mts
for part in 1 2; do
    teacher-dump "$teacher" --sample --limit 1280 --context 64 --batch 4 --seed 3 --shard $part/2 -o drawn$part.mts
done
tensor-stream cat drawn1.mts drawn2.mts -o drawn-joined.mts
cmp drawn.mts drawn-joined.mts

dump | distil --steps 0 -o student.mts
modal-fit student.mts --order 6 -o modes.mts
for part in 1 2 3; do
    modal-fit student.mts --order 6 --shard $part/3 -o modes$part.mts
done
tensor-stream cat modes1.mts modes2.mts modes3.mts -o modes-joined.mts
cmp modes.mts modes-joined.mts

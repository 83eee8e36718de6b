# SPDX-License-Identifier: Apache-2.0
# Shuffled rows are the rows, in another order; short ones come last; shards of them are the whole.
dump() { teacher-dump -q -f "$teacher" --text a.txt b.txt --context 32 --batch 5 --show tokens "$@"; }
dump -o plain.mts
dump --shuffle 20 -o drawn.mts
tensor-stream list -q plain.mts | tail -2 | tr -s ' '
tensor-stream list -q drawn.mts | tail -2 | tr -s ' '
for name in plain drawn; do
    tensor-stream list -q $name.mts | sed -n 's/^\(batches\.[0-9.tokens]*\) .*, 32\]$/\1/p' >full
    # shellcheck disable=SC2046  # a list of words
    tensor-stream select -q $name.mts $(cat full) -o full-$name.mts
    tensor-stream get -q 'batches.*.tokens' full-$name.mts | od -An -v -td8 -w256 >$name.rows
    sort $name.rows -o $name.sorted
done
cmp plain.sorted drawn.sorted
! cmp -s plain.rows drawn.rows
dump --shuffle 20 --seed 2 -o other.mts
! tensor-stream diff -q --tolerance 0 drawn.mts other.mts >/dev/null
for k in 1 2 3; do dump --shuffle 20 --shard $k/3 -o part$k.mts; done
tensor-stream cat -q part1.mts part2.mts part3.mts | cmp - drawn.mts
dump --shuffle 20 --limit 333 -o limited.mts
tensor-stream list -q limited.mts | tail -3 | tr -s ' '

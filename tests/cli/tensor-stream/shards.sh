# rows of one tensor, tensors, batches: shared out and joined they are the same bytes, in whatever order they are given
tensor-stream import -q embed.weight.npy poles.npy filters.npy -o several.mts
tensor-stream note -q several.mts seed=1 loss=0.5 -o noted.mts
tensor-stream import -q embed.weight.npy batches.{0,1,2}.{tokens,output}.npy -o dump.mts
for stream in filters several noted dump; do
    for n in 1 2 3 9; do
        tensor-stream split -q $stream.mts -n $n -o part-%.mts
        tensor-stream cat -q part-*.mts | cmp - $stream.mts
        # shellcheck disable=SC2046
        tensor-stream cat -q $(printf '%s\n' part-*.mts | sort -r) | cmp - $stream.mts
        [ $n = 1 ] || ! cmp -s part-1.mts $stream.mts || echo "part 1 of $n is the whole $stream"
        tensor-stream check -q part-*.mts
        rm part-*.mts
    done
done
tensor-stream split -q dump.mts -n 12 -o s%d.mts
ls s0* s1* | tr '\n' ' '

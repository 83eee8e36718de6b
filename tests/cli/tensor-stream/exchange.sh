# arrays come in and go out as they were
tensor-stream get -q filter filters.mts -o back.npy
cmp filters.npy back.npy
tensor-stream get -q filter filters.mts | cmp - <(tail -c $((7 * 33 * 8)) filters.npy)
tensor-stream import -q embed.weight.npy poles.npy batches.{0,1,2}.tokens.npy -o all.mts
tensor-stream get -q poles all.mts -o back.npy -f
cmp poles.npy back.npy
tensor-stream get -q 'batches.*.tokens' all.mts -o tokens.npy
tensor-stream get -q 'batches.*.tokens' all.mts | cmp - <(tail -c $((3 * 8 * 8)) tokens.npy)
tensor-stream import -q tokens.npy --name tokens | tensor-stream list -q
tensor-stream export -q all.mts -o all.safetensors
tensor-stream import -q all.safetensors | tensor-stream diff -q --tolerance 0 - all.mts

# a model folder, and what a folder keeps of a stream
teacher=$SOURCE/share/teachers/bookworm
tensor-stream import -q "$teacher" -o teacher.mts
tensor-stream note -q teacher.mts a=1 | tensor-stream export - -o student 2>&1 | head -1
for text in config.json tokenizer.json generation_config.json; do
    cmp "$teacher/$text" student/$text
done
tensor-stream import -q student | tensor-stream diff -q --tolerance 0 - teacher.mts
tensor-stream import -q student | tensor-stream list -q | head -1
status=0
tensor-stream export -q teacher.mts -o student 2>&1 || status=$?
echo "exit $status"
tensor-stream export -q -f teacher.mts -o student/
tensor-stream export -q filters.mts -o model 2>&1 || status=$?
echo "exit $status"
[ ! -e model ]
ls -A | grep -v npy | tr '\n' ' '

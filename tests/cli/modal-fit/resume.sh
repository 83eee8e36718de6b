# SPDX-License-Identifier: Apache-2.0
# Stopped and resumed: the bytes of a run that was not; other settings, other filters and damage are noticed.
python3 - <<'PY'
import random, struct
random.seed(1)
n, length = 60, 512
values = [random.gauss(0, 1) * 0.99 ** t for i in range(n) for t in range(length)]
text = ("{'descr': '<f8', 'fortran_order': False, 'shape': (%d, %d), }" % (n, length)).ljust(117) + "\n"
open("many.npy", "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() +
                             struct.pack("<%dd" % len(values), *values))
PY
modal-fit -q --order 12 --no-bound --effort thorough many.npy -o whole.mts
modal-fit -q --order 12 --no-bound --effort thorough --threads 1 many.npy --checkpoint kept -o out.mts 2>said &
sleep 0.3
kill -TERM $! && wait $! || echo $?
[ ! -e out.mts ]
for file in kept/fits-*.mts; do tensor-stream check -q "$file"; done
modal-fit -q --order 12 --no-bound --effort thorough many.npy --checkpoint kept -o out.mts 2>said || echo $?
modal-fit -q --order 10 --no-bound many.npy --checkpoint kept --resume -o out.mts 2>said || echo $?
grep -c 'were made with' said
cp -r kept again
modal-fit --order 12 --no-bound --effort thorough --threads 2 many.npy --checkpoint kept --resume -o out.mts 2>said
grep -cE '[0-9]+ filters from kept' said
cmp whole.mts out.mts
ls kept
for file in again/fits-*.mts; do printf x | dd of="$file" bs=1 seek=300 conv=notrunc 2>/dev/null; done
modal-fit --order 12 --no-bound --effort thorough many.npy --checkpoint again --resume -o out.mts -f 2>said
grep -c 'its fits are made again' said
cmp whole.mts out.mts

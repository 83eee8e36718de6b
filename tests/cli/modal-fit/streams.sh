# SPDX-License-Identifier: Apache-2.0
# A tensor larger than a bank is worked on in pieces: the same bytes from every kind of input, whatever the threads.
python3 - <<'PY'
import struct
n, length = 9, 1 << 19
row = struct.pack("<%df" % length, *(0.999 ** t if t < 9000 else 0.0 for t in range(length)))
def save(name, order):
    text = ("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (n, length)).ljust(117) + "\n"
    with open(name, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode())
        for i in order:
            f.write(row[:4 * length])
save("long.npy", range(n))
PY
tensor-stream import -q long.npy -o long.mts
modal-fit -q --effort fast --order 1 --no-bound --threads 1 long.npy -o one.mts
modal-fit -q --effort fast --order 1 --no-bound --threads 2 long.mts -o two.mts
for part in poles residues sections cascade error; do
    cmp <(tensor-stream get -q filter.$part one.mts -o -) <(tensor-stream get -q filter.$part two.mts -o -)
done
mkfifo pipe.npy
cat long.npy >pipe.npy &
modal-fit -q --effort fast --order 1 --no-bound --shard 2/3 pipe.npy -o part2.mts
for k in 1 3; do modal-fit -q --effort fast --order 1 --no-bound --shard $k/3 long.npy -o part$k.mts; done
tensor-stream cat -q part1.mts part2.mts part3.mts -o joined.mts
cmp one.mts joined.mts

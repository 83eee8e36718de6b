# SPDX-License-Identifier: Apache-2.0
# Several .npy files: each is a filter, called by the stem of its file.
python3 - <<'PY'
import math, struct
head = "{'descr': '<f8', 'fortran_order': False, 'shape': (32,), }"
head += " " * (63 - (10 + len(head)) % 64) + "\n"
for name, scale in (("slow", 9), ("fast", 2)):
    with open(name + ".npy", "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
        f.write(struct.pack("<32d", *[math.exp(-t / scale) for t in range(32)]))
PY
hankel-spectrum -q --json slow.npy fast.npy | fields '[(f["tensor"], f["filter"]) for f in r]'

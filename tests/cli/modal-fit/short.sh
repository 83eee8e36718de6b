# SPDX-License-Identifier: Apache-2.0
# Filters of one, two, three and four lags: what their lags show is met, what they do not is refused.
python3 - <<'PY'
import struct
for length in (1, 2, 3, 4):
    text = ("{'descr': '<f4', 'fortran_order': False, 'shape': (1, %d), }" % length).ljust(117) + "\n"
    open("L%d.npy" % length, "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() +
                                         struct.pack("<%df" % length, *(0.5 ** (t * t) for t in range(length))))
PY
for length in 1 2 3 4; do
    modal-fit -q --json L$length.npy >lines
    fields '[(x["order"], x["error"] < 1e-12) for x in r]' <lines
    modal-fit -q --json --order 9 L$length.npy -o $length.mts >lines || echo "exit $?"
    fields '[(x["order"], x["error"]) for x in r]' <lines
done

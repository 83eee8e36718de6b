# SPDX-License-Identifier: Apache-2.0
# Each objective is least in its own norm; horizons, weights, an input spectrum and shared poles change the fit.
python3 - <<'PY'
import struct
def write(name, shape, values):
    text = "{'descr': '<f8', 'fortran_order': False, 'shape': %s, }" % (shape,)
    text = text.ljust(117) + "\n"
    open(name, "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() +
                           struct.pack("<%dd" % len(values), *values))
write("w.npy", (96,), [1.0 if t < 24 else 0.01 for t in range(96)])
write("each.npy", (4, 96), [1.0] * 384)
write("flat.npy", (3,), [2.0] * 3)
write("low.npy", (5,), [1.0, 0.1, 0.01, 0.01, 0.01])
write("bad.npy", (3,), [1.0, -1.0, 1.0])
PY
fit() { modal-fit -q --json --order 4 "$@" filters.npy | python3 -c 'import json, sys
r = [json.loads(line) for line in sys.stdin]
print(*("%.6g %.6g" % (x["error"], x["objective"]) for x in r[1::2]))'; }
fit >l2
fit --objective h2 >h2
fit --objective hankel >hankel
fit --weights w.npy >weights
fit --horizon weighted >weighted
fit --horizon extended:3 >extended
fit --input-spectrum low.npy >spectrum
fit --share layer >layer
sort l2 h2 hankel weights weighted extended spectrum layer | uniq | wc -l
# l2 has the least l2 error of them all
cat l2 h2 hankel weights weighted extended spectrum layer | awk 'NR==1 {a=$1; b=$3} {if ($1 < a*0.9999 || $3 < b*0.9999) print "less:", $0}'
# what says nothing changes nothing
fit --weights each.npy | cmp - l2
fit --horizon extended:1 | cmp - l2
fit --share none | cmp - l2
modal-fit -q --share layer --order 4 filters.npy -o shared.mts
tensor-stream get -q filter.sections shared.mts -o - | python3 -c 'import sys
rows = sys.stdin.buffer.read()[-4 * 64:]
print(rows[:64] == rows[64:128] == rows[192:], any(rows[128:192]))'
modal-fit -q --input-spectrum bad.npy filters.npy -o x.mts 2>said || echo $?
cat said
# each is the least in its own norm, and hankel reaches what is least
for objective in l2 h2 hankel; do
    modal-fit -q --json --order 3 --norms --objective $objective filters.npy >$objective.json
done
python3 - <<'PY'
import json
r = {o: [json.loads(line) for line in open(o + ".json")][1::2] for o in ("l2", "h2", "hankel")}
for i in range(2):
    print(r["l2"][i]["error"] <= 1.0001 * min(r[o][i]["error"] for o in r),
          r["h2"][i]["h2"] <= 1.0001 * min(r[o][i]["h2"] for o in r),
          r["hankel"][i]["hankel"] <= 1.0001 * r["hankel"][i]["nearest"])
PY

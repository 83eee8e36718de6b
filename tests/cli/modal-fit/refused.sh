# SPDX-License-Identifier: Apache-2.0
# Refused filters: order 0, error null, a line that names them, exit 1; the others are fitted, and the stream says which.
status=0
modal-fit --json --order 2 nan.npy -o out.mts 2>said >lines || status=$?
fields '[(x["order"], x["error"] is None) for x in r], "lag 5" in r[1]["refused"]' <lines
grep -c 'tensor filter, filter 1: lag 5 is not a finite number' said
tensor-stream get -q filter.error out.mts -o error.npy
tensor-stream get -q filter.fir out.mts -o fir.npy -f
python3 - <<'PY'
def read(name):
    import ast, struct
    data = open(name, "rb").read()
    n = struct.unpack("<H", data[8:10])[0]
    return struct.unpack("<4d", data[10 + n:])
print([x != x for x in read("error.npy")], [x != x for x in read("fir.npy")])
PY
realize-ssm -q out.mts -o ssm.mts 2>said || echo "realize $?"
grep -c 'filter.fir' said
exit $status

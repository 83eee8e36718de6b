# arrays by hand: filters.npy [7, 33], and of a dump two batches around a tensor that all shards share
python3 - <<'END'
import math, struct

def save(name, descr, code, shape, values):
    head = "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }" % (descr, ", ".join(map(str, shape)) + ("," if len(shape) == 1 else ""))
    head += " " * (63 - (10 + len(head)) % 64) + "\n"
    with open(name, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
        f.write(struct.pack("<%d%s" % (len(values), code), *values))

save("filters.npy", "<f8", "d", (7, 33), [math.exp(-t / (4 + r)) for r in range(7) for t in range(33)])
save("embed.weight.npy", "<f4", "f", (3, 2), [0.5 * i for i in range(6)])
save("poles.npy", "<c16", "d", (1, 2), [0.5, 0.25, 0.5, -0.25])
for n in (0, 1, 2):
    save("batches.%d.tokens.npy" % n, "<i8", "q", (2, 4), [8 * n + i for i in range(8)])
    save("batches.%d.output.npy" % n, "<f4", "f", (2, 4, 1), [n + i / 8 for i in range(8)])
END
dump() {
    tensor-stream import -q embed.weight.npy batches.{0,1,2}.tokens.npy -o "$1"
}
tensor-stream import -q filters.npy -o filters.mts

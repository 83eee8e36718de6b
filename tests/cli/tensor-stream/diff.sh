# differences are told and are exit 1
python3 - <<'END'
import struct
data = bytearray(open("filters.npy", "rb").read())
data[-8:] = struct.pack("<d", struct.unpack("<d", data[-8:])[0] + 1e-6)
open("nearly.npy", "wb").write(data)
END
tensor-stream import -q nearly.npy -o nearly.mts
tensor-stream import -q poles.npy filters.npy -o more.mts
status() {
    local status=0
    tensor-stream diff -q "$@" || status=$?
    echo "exit $status"
}
status filters.mts filters.mts
status filters.mts nearly.mts
status filters.mts nearly.mts --tolerance 1e-6
status filters.mts nearly.mts --tolerance 1e-8
status filters.mts nearly.mts --json
status more.mts filters.mts --tolerance 1
tensor-stream note -q filters.mts seed=1 -o noted.mts
status filters.mts noted.mts
status filters.mts noted.mts --tolerance 0

# what does not make one whole is refused, and nothing is written
try() {
    local status=0
    "$@" 2>&1 || status=$?
    echo "exit $status"
}
dump a.mts
python3 - <<'END'
data = bytearray(open("embed.weight.npy", "rb").read())
data[-1] ^= 1
open("embed.weight.npy", "wb").write(data)
END
dump b.mts
tensor-stream split -q a.mts -n 3 -o a-%.mts
tensor-stream split -q b.mts -n 3 -o b-%.mts
tensor-stream split -q filters.mts -n 2 -o f-%.mts
try tensor-stream cat -q a-1.mts a-3.mts -o out.mts
try tensor-stream cat -q a-1.mts a-2.mts a-2.mts a-3.mts -o out.mts
try tensor-stream cat -q a-1.mts b-2.mts a-3.mts -o out.mts
try tensor-stream cat -q a-1.mts filters.mts -o out.mts
try tensor-stream cat -q a-1.mts f-2.mts -o out.mts
try tensor-stream split -q a-1.mts -n 2 -o x-%.mts
try tensor-stream split -q a.mts -n 2 -o x.mts
try tensor-stream split -q a.mts -n 2 -o a-%.mts
try tensor-stream cat -q a.mts b.mts -o out.mts
ls out.mts x-* 2>/dev/null || echo nothing written

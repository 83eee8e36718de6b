# the Python program in stillhouse-stream(5) reads what the tools write, and notices a cut
python=
for candidate in python3 /usr/bin/python3; do
    [ -n "$python" ] || ! $candidate -c 'import msgpack, numpy' 2>/dev/null || python=$candidate
done
[ -n "$python" ] || exit 77
noticed() {
    if $python reader.py "$1" >/dev/null 2>&1; then
        echo "$1 of $(stat -c %s "$1") bytes was taken for whole"
    fi
}
awk '/^\.Bd -literal$/ { inside = 1; next } /^\.Ed$/ { inside = 0 } inside' "$SOURCE/man/stillhouse-stream.5" >reader.py
head -1 reader.py
tensor-stream import -q embed.weight.npy poles.npy batches.0.tokens.npy -o all.mts
tensor-stream note -q all.mts seed=1 -o noted.mts
$python reader.py noted.mts
size=$(stat -c %s noted.mts)
for n in 5 50 200 $((size / 2)) $((size - 1)); do
    head -c "$n" noted.mts >cut.mts
    noticed cut.mts
done
{ cat noted.mts; printf '\1'; } >longer.mts
noticed longer.mts

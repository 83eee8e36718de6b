# an overwritten file keeps its mode; a failed run leaves the old file as it was
probe -q -o a.mts
chmod 640 a.mts
probe -q -k 3 -f -o a.mts
stat -c %a a.mts
cp a.mts old
probe -q --fail data -f -o a.mts 2>/dev/null || true
cmp a.mts old
ls -A

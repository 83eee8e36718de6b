# flipped bytes and cuts are exit 3, name the file, and leave no output; a full device is exit 4
size=$(stat -c %s filters.mts)
for at in 0 3 12 60 100 200 300 $((size / 2)) $((size - 40)) $((size - 1)); do
    python3 -c "
import sys
data = bytearray(open('filters.mts', 'rb').read())
data[$at] ^= 0x20
open('flipped.mts', 'wb').write(data)"
    head -c "$at" filters.mts >cut.mts
    for file in flipped cut; do
        for verb in "check $file.mts" "list $file.mts" "cat $file.mts -o out.mts" "select $file.mts -o out.mts" "get filter $file.mts -o out.npy" "export $file.mts -o out.safetensors"; do
            status=0
            # shellcheck disable=SC2086
            tensor-stream ${verb%% *} -q ${verb#* } >/dev/null 2>message || status=$?
            [ $status = 3 ] || echo "$verb at $at: exit $status"
            grep -q "^tensor-stream ${verb%% *}: $file.mts: " message || cat message
        done
    done
done
tensor-stream check -q cut.mts 2>&1 || true
status=0
tensor-stream cat -q filters.mts >/dev/full 2>message || status=$?
echo "exit $status"
ls

# SPDX-License-Identifier: Apache-2.0
# A stream that holds one form alone, asked for another; the shape of the new one, and it agrees with the old modes.
realize-ssm -q --state-precision f64 --form modal poles.npy residues.npy fir.npy | tensor-stream select -q - 'ssm.*' -o modal.mts
for form in cascade companion balanced dense; do
    realize-ssm -q --check --state-precision f64 --form $form modal.mts -o other.mts -f
    tensor-stream list -q other.mts | awk '{print $1}' | tr '\n' ' '
    realize-ssm -q --check --state-precision f64 --form modal other.mts -o back.mts -f
    # real poles may come in another order: rows sorted
    for file in modal.mts back.mts; do
        tensor-stream get -q ssm.modal $file >modal.bin
        python3 -c '
import struct
x = struct.unpack("<20d", open("modal.bin", "rb").read())
print([sorted(tuple(round(y, 7) + 0 for y in x[10 * f + 5 * s:10 * f + 5 * s + 5]) for s in (0, 1)) for f in (0, 1)])' >$file.txt
    done
    cmp modal.mts.txt back.mts.txt && echo same
done
tensor-stream select -q modal.mts --drop '*.order' -o half.mts
realize-ssm -q half.mts -o out.mts -f || echo $?

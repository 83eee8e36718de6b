# SPDX-License-Identifier: Apache-2.0
# Modes in the arrays of S4D and StripedHyena, back again, and what is refused.
cp "$SOURCE"/tests/data/systems/filters.npy four.npy
modal-fit -q --order 5 four.npy | realize-ssm -q -o fit.mts
for layout in stripedhyena s4d; do
    tensor-stream export -q --layout $layout fit.mts -o $layout.safetensors
    tensor-stream import -q $layout.safetensors | tensor-stream list -q | awk '{print $1, $2, $3, $4, $5, $6}'
    tensor-stream import -q --layout $layout $layout.safetensors -o back.mts -f
    tensor-stream export -q --layout $layout back.mts -o again.safetensors -f
    tensor-stream import -q again.safetensors | tensor-stream diff -q --tolerance 1e-5 - <(tensor-stream import -q $layout.safetensors) && echo same
done
# a realization alone will do
tensor-stream select -q fit.mts 'ssm.*' | tensor-stream export -q --layout s4d - -o alone.safetensors
tensor-stream import -q alone.safetensors | tensor-stream list -q | wc -l
status=0
tensor-stream export -q --layout s4d fit.mts -o s4d.safetensors 2>&1 || status=$?
tensor-stream export -q --layout s4d fit.mts -o folder 2>&1 || status=$?
tensor-stream export -q --layout s4d filters.mts -o no.safetensors 2>&1 || status=$?
tensor-stream import -q --layout s4d stripedhyena.safetensors -o no.mts 2>&1 || status=$?
modal-fit -q --order 4 --fir-taps 3 four.npy | tensor-stream export -q --layout s4d -o no.safetensors 2>&1 || status=$?
# the pole 0.9 eight times: residues cancel
python3 -c '
import struct
h = [t ** 7 * 0.9 ** t / 1e6 for t in range(200)]
head = "{\"descr\": \"<f8\", \"fortran_order\": False, \"shape\": (1, 200), }".replace("\"", chr(39))
head += " " * (63 - (10 + len(head)) % 64) + "\n"
open("repeated.npy", "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + struct.pack("<200d", *h))'
for layout in stripedhyena s4d; do
    modal-fit -q --order 8 repeated.npy | tensor-stream export -q --layout $layout -o no.safetensors 2>message || echo $?
    grep -o 'filter 0: in the layout, in F32, its response is off by' message
done
ls no.* 2>/dev/null || echo "nothing written"

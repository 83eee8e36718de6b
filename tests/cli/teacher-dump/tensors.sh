# SPDX-License-Identifier: Apache-2.0
# Which tensors there are, of which type and shape.
teacher-dump -q "$teacher" --text a.txt --limit 100 --context 32 --batch 2 --layers 1-2 --show residual,mixer,lag,logits \
    --top-k 3 --dtype f16 --no-model -o a.mts
tensor-stream list -q a.mts | grep batches.1
echo
teacher-dump -q "$teacher" --text a.txt --limit 20 --precision f64 --no-model -o b.mts
tensor-stream list -q b.mts | grep batches

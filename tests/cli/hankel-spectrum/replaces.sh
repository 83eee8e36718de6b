# SPDX-License-Identifier: Apache-2.0
# Results stand right after their filter; a second run replaces them; other tensors pass.
hankel-spectrum -q filters.npy -o once.mts
modal-fit -q --order 4 once.mts | realize-ssm -q -o all.mts
tensor-stream list -q all.mts | awk '/^(filter|ssm)/ {print $1}'
hankel-spectrum -q -k 3 all.mts -o again.mts
tensor-stream list -q again.mts | awk '/^filter.(sigma|rank|bound)/ {print $1, $3, $4}'
modal-fit -q --order 2 all.mts | tensor-stream list -q - | grep -c '^ssm' || true

# SPDX-License-Identifier: Apache-2.0
# Many states: where the fit cannot be trained, the modes that are spread instead must not crowd each other.
teacher-dump "$teacher" --text "$text" --limit 2K --context 256 -o dump.mts
layer-distill dump.mts --order 64 --steps 0 -o modal.mts
layer-distill dump.mts --filter free --steps 0 -o free.mts
evaluate modal.mts --against free.mts --text "$text" --context 256 --limit 1K --json >modal.json
python3 -c 'import json
kl = json.load(open("modal.json"))["results"]["text"]["against"]["kl"]["value"]
assert kl < 1e-2, kl'

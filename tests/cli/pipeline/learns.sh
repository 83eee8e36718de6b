# SPDX-License-Identifier: Apache-2.0
# Layer-wise and end-to-end steps each lower the perplexity that the closed start has on a text of its own.
teacher-dump "$teacher" --sample --limit 100K --context 128 -o dump.mts
layer-distill dump.mts --steps 0 -o closed.mts
layer-distill dump.mts --lr 3e-4 -o distilled.mts
fine-tune closed.mts --teacher "$teacher" --sample --steps 25 --context 128 --batch 16 -o tuned.mts
ppl() {
    evaluate "$1" --text "$text" --context 128 --limit 8K --json --mode exact |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["results"]["text"]["token_perplexity"]["value"])'
}
python3 - "$(ppl closed.mts)" "$(ppl distilled.mts)" "$(ppl tuned.mts)" <<'EOF'
import sys
closed, distilled, tuned = map(float, sys.argv[1:])
if not (distilled < closed and tuned < closed and closed < 70):
    print(f"closed start {closed}, distilled {distilled}, tuned {tuned}")
EOF

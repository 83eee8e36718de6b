# SPDX-License-Identifier: Apache-2.0
# The closed start on stories260K reaches what the design measured, without a gradient step.
shared=${STILLHOUSE_SHARED:-$SOURCE/../shared}
golden=$shared/golden/llama/stories260K
teacher=$shared/teachers/stories260K
[ -d "$golden" ] && [ -d "$teacher" ] || { echo "the stories260K teacher and its samples are not here"; exit 77; }
teacher-dump "$teacher" --tokens "$golden/samples256_start.npy" --context 256 -o dump.mts
ratio() {
    local most=$1
    shift
    layer-distill dump.mts --steps 0 "$@" -f -o student.mts
    evaluate student.mts --mode exact --against "$teacher" --tokens "$golden/samples256_test.npy" --context 256 --json |
        python3 -c '
import json, sys
found = json.load(sys.stdin)["results"]["text"]["against"]["perplexity_ratio"]["value"]
if not found <= float(sys.argv[1]):
    print(sys.argv[2:], found, "expected at most", sys.argv[1])' "$most" "$@"
}
ratio 2.2 --filter free
ratio 2.2 --filter modal
ratio 2.2 --filter implicit
ratio 1.9 --filter free --taps 3
ratio 1.24 --filter free --window 16
ratio 1.07 --filter free --window 64

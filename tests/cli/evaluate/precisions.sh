# SPDX-License-Identifier: Apache-2.0
# Several precisions in one call, each beside the first; windows score what the one before did not reach.
evaluate "$teacher" --text "$text" --limit 600 --context 128 --stride 64 --precision f64,f32,bf16,int8 --json |
    python3 -c '
import json, sys
report = json.load(sys.stdin)
assert report["precision"] == "f64" and list(report["precisions"]) == ["f32", "bf16", "int8"]
assert report["results"]["text"]["tokens"] == 599
ratio = {name: abs(results["text"]["against_precision"]["perplexity_ratio"]["value"] - 1)
         for name, results in report["precisions"].items()}
assert 0 < ratio["f32"] < 1e-6 < ratio["bf16"] < 0.02, ratio
assert 1e-6 < ratio["int8"] < 0.02, ratio'
for first in unscored prefix; do
    evaluate "$teacher" --text "$text" --limit 600 --context 128 --first $first --json
done | python3 -c '
import json, sys
tokens = [json.loads(line)["results"]["text"]["tokens"] for line in sys.stdin]
assert tokens == [595, 600], tokens'
evaluate "$teacher" --text "$text" --limit 200 --context 64 --markdown | grep -q '^| text | token perplexity '
evaluate "$teacher" --text "$text" --limit 200 --context 64 --by-position | grep -q 'perplexity at 32-63 '

# SPDX-License-Identifier: Apache-2.0
# realize-ssm --drop-exact: the model is smaller, its recurrence the same, its convolution that of the modes.
dump | layer-distill --length 64 --filter free --steps 0 | modal-fit --order 4 -o modes.mts
realize-ssm modes.mts -o whole.mts
realize-ssm modes.mts --drop-exact -o without.mts
[ "$(stat -c %s without.mts)" -lt "$(stat -c %s whole.mts)" ]
for model in whole without; do
    generate $model.mts --prompt "It was a" -n 16 --greedy --mode recurrent >$model.txt
    evaluate $model.mts --text "$text" --context 64 --limit 1K --mode recurrent --json >$model.recurrent.json
done
cmp whole.txt without.txt
evaluate without.mts --text "$text" --context 64 --limit 1K --json >without.convolution.json
python3 - <<'EOF2'
import json
whole, without, convolution = (json.load(open(name + ".json"))["results"]["text"]["token_perplexity"]["value"]
                               for name in ("whole.recurrent", "without.recurrent", "without.convolution"))
assert whole == without, (whole, without)
assert abs(convolution - without) < 1e-4 * without, (convolution, without)
EOF2

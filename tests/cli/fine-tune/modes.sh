# SPDX-License-Identifier: Apache-2.0
# --filters modes: the fit of free or implicit filters, or a lower order of modal ones, is what is trained and written.
dump -o dump.mts
# shown MODEL: perplexity and KL of MODEL as it runs, beside model $2
against() { evaluate "$1" --mode "$2" --against "$3" --text "$text" --context 64 --limit 640 --json; }
for form in free implicit modal; do
    order=$([ $form != modal ] || echo --order 12)
    # shellcheck disable=SC2086  # two words or none
    layer-distill dump.mts --length 64 --filter $form $order --steps 0 -f -o student.mts
    modal-fit student.mts --order 6 -f -o fit.mts
    fine-tune fit.mts --filters modes --text "$text" --context 64 --steps 0 -f -o modes.mts
    tensor-stream list modes.mts >list
    [ "$(grep -cE 'mixer\.filter_modes\.cascade +F64 +\[6, 6\]' list)" = 4 ] || cat list
    grep -E 'filter_mlp|filter\.(poles|sections|error|order)' list || true
    # what runs is the fit, but for filters fitted anew; and it is the exact convolution of what is written
    realize-ssm fit.mts -f -o ssm.mts
    against ssm.mts recurrent student.mts >fit.json
    against modes.mts recurrent student.mts >modes.json
    against modes.mts recurrent modes.mts >itself.json
    python3 - $form <<'EOF2'
import json, sys
fit, modes, itself = (json.load(open(name + ".json"))["results"]["text"] for name in ("fit", "modes", "itself"))
a, b = (x["against"]["kl"]["value"] for x in (fit, modes))
assert b > 1e-8 and abs(a - b) < 0.5 * a, (sys.argv[1], a, b)
assert abs(itself["against"]["kl"]["value"]) < 1e-8, itself
EOF2
    # a step moves them, and what it wrote is a model like any other
    fine-tune fit.mts --filters modes --text "$text" --context 64 --batch 2 --steps 1 -f -o tuned.mts
    tensor-stream diff -q modes.mts tuned.mts >said && echo "$form: a step moved nothing"
    grep -q 'filter_modes.sections' said || cat said
    fine-tune tuned.mts --text "$text" --context 64 --batch 2 --steps 1 -f -o again.mts
done
status=0
fine-tune dump.mts --filters modes --text "$text" --context 64 --steps 0 -f -o out.mts 2>message || status=$?
[ $status = 2 ] && grep -q 'no layer has a fit' message || { echo "exit $status"; cat message; }
layer-distill dump.mts --length 64 --filter free --steps 0 -f -o student.mts
status=0
fine-tune student.mts --filters modes --text "$text" --context 64 --steps 0 -f -o out.mts 2>message || status=$?
[ $status = 3 ] && grep -q 'layers.0.mixer.filter: has no fit' message || { echo "exit $status"; cat message; }

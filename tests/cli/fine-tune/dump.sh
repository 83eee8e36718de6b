# SPDX-License-Identifier: Apache-2.0
# A teacher's stored logits, all of them, train as the teacher itself does; the largest alone nearly so.
head -c 1200 "$text" >short.txt
stored() { teacher-dump "$teacher" --text short.txt --context 64 --batch 2 --show tokens,logits --no-model "$@"; }
stored -o all.mts
stored --top-k 64 -o top.mts
for loss in kl ce+kl rkl jsd mse ce; do
    with=(--teacher "$teacher")
    [ $loss = ce ] && with=()
    tune "${with[@]}" --text short.txt --shuffle 0 --loss $loss --steps 2 --log live.jsonl -f -o live.mts
    fine-tune student.mts --dump all.mts --loss $loss --steps 2 --log all.jsonl -f -o all-tuned.mts
    tensor-stream select -q live.mts '*' --drop config.json -f -o a.mts
    tensor-stream select -q all-tuned.mts '*' --drop config.json -f -o b.mts
    tensor-stream diff -q a.mts b.mts --tolerance 1e-6 || echo "$loss: stored logits train otherwise"
    [ $loss = mse ] && continue
    fine-tune student.mts --dump top.mts --loss $loss --steps 2 --log top.jsonl -f -o top-tuned.mts
    python3 - $loss <<'EOF2'
import json, sys
live, top = ([json.loads(line)["loss"] for line in open(name)] for name in ("live.jsonl", "top.jsonl"))
for a, b in zip(live, top):
    # merging outcomes loses divergence, never wins any
    if not 0 < b < a + 1e-5:
        print(sys.argv[1], a, b)
EOF2
done
refused() {
    local status=0 words=$1
    shift
    fine-tune student.mts "$@" -f -o out.mts 2>message || status=$?
    { [ "$status" = 2 ] || [ "$status" = 3 ]; } && grep -q -- "$words" message || { echo "exit $status: $*"; cat message; }
}
refused 'mse compares all logits' --dump top.mts --loss mse
refused 'contradict' --dump top.mts --text short.txt
refused '--batch has no effect with --dump' --dump top.mts --batch 4
dump -o residuals.mts
refused 'it has no logits' --dump residuals.mts
refused 'positions for 512' --text short.txt --context 600 --teacher "$teacher"

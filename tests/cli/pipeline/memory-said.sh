# SPDX-License-Identifier: Apache-2.0
# The memory that trainings say they need is what they take: at most a tenth more, at least seven tenths of it.
within() {
    local name=$1
    shift
    "$@" --threads 2 --report report.json -v -f -o out.mts 2>message
    grep -q 'memory: about [0-9]* MiB (program' message || cat message
    python3 - "$name" <<'EOF'
import json, sys
report = json.load(open("report.json"))
share = report["peak_bytes"] / report["memory"]["total"]
if not 0.7 < share < 1.1:
    print(f"{sys.argv[1]}: {share:.2f} of what was said: {report['peak_bytes'] / 2**20:.0f} MiB, {report['memory']}")
EOF
    rm report.json
}
texts=("$text" "$text" "$text" "$text")
teacher-dump "$teacher" --text "${texts[@]}" --context 128 --batch 8 --limit 20K -o dump.mts
teacher-dump "$teacher" --text "$text" --context 128 --batch 8 --limit 4K |
    layer-distill --window 16 --steps 0 -o student.mts
within "closed start" layer-distill dump.mts --steps 0
within "steps" layer-distill dump.mts --steps 2 --start-tokens 2K
within "wide batches through all layers" layer-distill dump.mts --steps 1 --start-tokens 2K --batch 32 --schedule joint
within "heads of four, f64" layer-distill dump.mts --steps 1 --start-tokens 2K --mixer multihyena --precision f64
within "by a teacher" fine-tune student.mts --teacher "$teacher" --text "$text" --context 128 --batch 8 --steps 1
within "by a text, long rows" fine-tune student.mts --text "${texts[@]}" --context 512 --batch 8 --steps 1 --ema 0.9

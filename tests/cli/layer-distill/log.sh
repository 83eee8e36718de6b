# SPDX-License-Identifier: Apache-2.0
# The log has one line a step, through a stop and after it; the picture has a curve a layer; neither changes the stream.
dump -o dump.mts
distil dump.mts -o whole.mts
ended KILL 3 distil dump.mts --log log.jsonl -o out.mts
goes_on distil dump.mts --log log.jsonl -o out.mts
cmp whole.mts out.mts
python3 - <<'EOF2'
import json
lines = [json.loads(line) for line in open("log.jsonl")]
assert [line["step"] for line in lines] == list(range(1, len(lines) + 1)), [line["step"] for line in lines]
assert len(lines) == 17, len(lines)
for line in lines:
    assert len(line["layers"]) == 4 and line["loss"] > 0 and line["rate"] >= 0 and line["tokens"] > 0, line
assert abs(sum(lines[-1]["layers"]) / 4 - lines[-1]["loss"]) < 1e-12
EOF2
status=0
distil dump.mts --log log.jsonl -o other.mts 2>message || status=$?
[ "$status" = 4 ] && grep -q 'log.jsonl: exists' message || cat message
status=0
distil dump.mts --log other.mts -o other.mts 2>message || status=$?
[ "$status" = 2 ] || cat message
if command -v gnuplot >/dev/null; then
    distil dump.mts --plot losses.svg -o other.mts
    cmp whole.mts other.mts
    grep -q '<svg' losses.svg && grep -q 'layer 3' losses.svg || echo "no picture"
fi

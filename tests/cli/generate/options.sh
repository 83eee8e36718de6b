# SPDX-License-Identifier: Apache-2.0
# Stop texts, statistics, logits of a head in another precision, characters that are never cut.
greedy() { generate -q "$teacher" --greedy --precision f64 -n 12 --prompt 'It was a' "$@"; }
greedy --stop 'nowhere' --stop 'to be' --stop 'done'
echo '|'
greedy --stop ' good thing' --stop 'very'
echo '|'
# The stream holds back what may be the beginning of a stop text, and gives it out at the end.
greedy --stop 'a goodbye'
echo '|'
generate -q "$teacher" --greedy -n 6 --prompt 'It was a' --stats --report report.json 2>stats.json >text
generate -q "$teacher" --greedy -n 6 --prompt 'It was a' --precision bf16 --head-precision int8 --stats 2>mixed.json | cmp - text
python3 - "$SOURCE/share/schema/generate.json" <<'END'
import json, sys
schema = json.load(open(sys.argv[1]))
stats, mixed, report = (json.load(open(name)) for name in ("stats.json", "mixed.json", "report.json"))
for one in (stats, mixed):
    assert set(schema["required"]) <= set(one) <= set(schema["properties"]), one
    assert one["decode"]["tokens"] == 6 and one["decode"]["steps"] == 5 and one["prefill"]["tokens"] > 0
    assert 0 < one["share_of_read_limit"] and 0 < one["first_token_s"] < 60 and one["state_bytes"] > 0
assert stats["weight_bytes_per_token"] > 2 * mixed["weight_bytes_per_token"] > 0
assert report["decode"]["tokens"] == 6
END
# Bytes as tokens: every write is whole characters, and all together are the text.
generate -q "$teacher" --temperature 5 --seed 3 -n 400 --ignore-eos --prompt 'é' >text
iconv -f UTF-8 -t UTF-16 text >/dev/null
mkdir nan && cp "$teacher"/* nan
python3 - <<'END'
import json, struct
data = bytearray(open("nan/model.safetensors", "rb").read())
size = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:8 + size])
name = next(k for k in header if k.endswith("dense_h_to_4h.weight"))
at = 8 + size + header[name]["data_offsets"][0]
data[at:at + 4] = b"\xff\xff\xff\xff"
open("nan/model.safetensors", "wb").write(data)
END
for precision in f32 int8; do
    status=0
    generate -q nan --precision $precision --prompt a -o out 2>said || status=$?
    [ "$status" = 3 ] && [ "$(wc -l <said)" = 1 ] && grep -q 'dense_h_to_4h.weight: NaN at element' said && [ ! -e out ]
done
# Memory that does not suffice is told of before the model is read.
status=0
(ulimit -v 700000 && exec generate -q "$teacher" -n 1000 --prompts-file <(seq 1 30000) --batch 30000) >out 2>said || status=$?
[ "$status" = 5 ] && grep -q 'needs about [0-9]* bytes of memory, [0-9]* are available' said && [ ! -s out ]
status=0                                                          # nor when they go on from states
seq 1 150 >few
generate -q "$teacher" -n 1 --prompts-file few --batch 150 --save-state few.mts -o first
(ulimit -v 500000 && exec generate -q "$teacher" -n 1000 --prompts-file <(seq 1 150) --batch 150 --load-state few.mts --threads 1) >out 2>said || status=$?
[ "$status" = 5 ] && grep -q 'needs about [0-9]* bytes of memory, [0-9]* are available' said && [ ! -s out ]

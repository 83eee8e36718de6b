# SPDX-License-Identifier: Apache-2.0
# --show tokens is the tokenizer: a folder without weights will do, and the ids give the text again.
mkdir folder
cp "$teacher/config.json" "$teacher/tokenizer.json" folder
teacher-dump -q folder --text a.txt --show tokens --context 100000 -o long.mts # no attention, no limit to a row
teacher-dump -q folder --text a.txt --show tokens --context 512 --batch 1 -o a.mts
tensor-stream get -q 'batches.*.tokens' a.mts >ids.i64
python3 - <<'EOF' >ids
import struct
data = open("ids.i64", "rb").read()
print(",".join(map(str, struct.unpack(f"<{len(data) // 8}q", data))), end="")
EOF
tensor-stream text -q --ids "$(cat ids)" folder >text
cmp text a.txt

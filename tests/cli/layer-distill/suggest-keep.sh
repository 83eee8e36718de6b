# SPDX-License-Identifier: Apache-2.0
# --suggest-keep ranks layers and heads, as a table and as JSON, and writes no stream; a wider window costs less.
teacher-dump "$teacher" --text "$text" --limit 512 --context 64 --batch 4 -o dump.mts
layer-distill dump.mts --suggest-keep 2 --order 2 --window 1 >table
layer-distill dump.mts --suggest-keep 2 --order 2 --window 1 --json >lines
layer-distill dump.mts --suggest-keep 2 --order 2 --window 48 --json >wide
layer-distill dump.mts --suggest-keep 1 --order 2 --window 1 --heads 192 --json >own # a filter a channel, of a head too
[ "$(wc -l <own)" = 2 ] || cat own
grep -q '^layers: --keep [0-3],[0-3]$' table && grep -q '^heads:  --keep [0-3]:[0-9],[0-3]:[0-9]$' table || cat table
teacher-dump "$teacher" --text "$text" --limit 64 --context 64 -o one.mts
! layer-distill one.mts --suggest-keep 1 --order 2 2>message
grep -q 'fits on one half of the sequences and measures on the other, and there is one' message || cat message
python3 - <<'EOF2'
import json
lines, wide = ([json.loads(line) for line in open(name)] for name in ("lines", "wide"))
assert [line["head"] is None for line in lines] == [True, True, False, False], lines
assert lines[0]["kl"] >= lines[1]["kl"] > 0 and lines[2]["kl"] >= lines[3]["kl"] > 0, lines
assert lines[0]["kl"] > lines[2]["kl"], "a head costs more than its layer"
assert wide[0]["kl"] < lines[0]["kl"], (wide, lines)
EOF2

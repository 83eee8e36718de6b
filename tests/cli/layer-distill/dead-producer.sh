# SPDX-License-Identifier: Apache-2.0
# The producer dies: exit 3, a checkpoint is kept and says where a producer that is run again may begin.
dump -o dump.mts
distil dump.mts -o whole.mts
size=$(stat -c %s dump.mts)
status=0
{ dd if=dump.mts bs=64K count=$((size * 3 / 4)) iflag=count_bytes status=none; } |
    distil --checkpoint kept -o out.mts 2>message || status=$?
[ "$status" = 3 ] || echo "exit $status"
[ ! -e out.mts ]
[ "$(wc -l <message)" = 1 ] || cat message
grep -q 'kept: run again with --resume; its producer may be run again with --skip [0-9]*$' message || cat message
skip=$(sed 's/.*--skip //' message)
[ "$skip" -gt 2 ] || echo "--skip $skip"
cp -r kept twice
# with the part that is left, and with all of it
dump --skip "$skip" | goes_on distil -o out.mts
cmp whole.mts out.mts
rm -r kept out.mts
mv twice kept
status=0
dump --skip $((skip + 1)) | goes_on distil -o out.mts 2>message || status=$?
[ "$status" = 3 ] || echo "exit $status"
grep -q "run the producer with --skip $skip, or without" message || cat message
dump | goes_on distil -o out.mts
cmp whole.mts out.mts

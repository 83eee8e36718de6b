# SPDX-License-Identifier: Apache-2.0
# A filter with NaN is named and left out; the others are done.
status=0
hankel-spectrum nan.npy -o out.mts || status=$?
tensor-stream list -q out.mts | awk '/^filter.(sigma|rank|bound)/ {print $1, $3, $4}'
hankel-spectrum -q --json nan.npy >lines || echo $?
fields '[x["rank"] for x in r], r[1]["sigma"], r[1]["refused"], r[0]["orders"]["2"] > 0' <lines
exit $status

# SPDX-License-Identifier: Apache-2.0
# SIGTERM under -o: the old file stays as it is, the signal is died of, nothing is left beside.
echo old >out.mts
teacher-dump "$teacher" --sample --limit 4M -f -o out.mts 2>message &
pid=$!
sleep 1
kill -TERM $pid
status=0
wait $pid || status=$?
[ "$status" = 143 ] || echo "exit $status"
[ "$(cat out.mts)" = old ] || echo "the old file has changed"
[ "$(find . -name '.*.part')" = "" ] || ls -A

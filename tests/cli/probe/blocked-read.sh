# a tool that waits for its input stops at once
mkfifo pipe
exec 3<>pipe
probe -q - -o out.mts <pipe &
sleep 0.3
kill -TERM $!
status=0
wait $! || status=$?
echo "status $status"
ls -A

# the reader has gone: dies of SIGPIPE, silently
mkfifo pipe
exec 3<>pipe
exec 4>pipe
exec 3<&-
status=0
probe -q >&4 || status=$?
echo "status $status"

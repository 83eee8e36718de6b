# nothing kept: dies of the signal; something kept: 75
for how in '' resumable; do
    probe -q --wait 30s --fail "$how" -o out.mts &
    sleep 0.3
    kill -TERM $!
    status=0
    wait $! || status=$?
    echo "status $status"
done
ls -A

# each kind of error has its exit status and one line
for how in data io memory exception check; do
    status=0
    probe --fail "$how" -o "out.$how" || status=$?
    echo "$how $status"
done
ls -A

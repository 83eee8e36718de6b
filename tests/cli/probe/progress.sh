# on a terminal after a second, but never when standard output is a pipe, nor with -q
on-terminal out true || exit 77
on-terminal out,err probe --json --wait 1.3s | tr '\r' '\n' | grep -c 'waiting' | sed 's/[1-9][0-9]*/drawn/'
on-terminal err probe --json --wait 1.3s | tr '\r' '\n' | grep -c waiting || true
on-terminal out,err probe -q --json --wait 1.3s | tr '\r' '\n' | grep -c waiting || true
probe --progress always -o out.mts --wait 1.3s 2>&1 | tr '\r' '\n' | grep -c waiting | sed 's/[1-9][0-9]*/drawn/'

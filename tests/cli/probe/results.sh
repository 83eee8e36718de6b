# a table on a terminal, a stream into a pipe, JSON lines when asked for; with -o the stream goes there
on-terminal out true || exit 77
on-terminal out probe -q
probe -q >piped.mts
head -c 10 piped.mts | od -An -tx1
on-terminal out probe -q -o a.mts
probe -q --json -o b.mts | cut -c1-16
cmp a.mts b.mts

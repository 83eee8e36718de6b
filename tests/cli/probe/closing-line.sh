probe -t 3 -o out.mts

probe -q -o out.mts

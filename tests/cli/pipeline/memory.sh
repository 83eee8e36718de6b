# SPDX-License-Identifier: Apache-2.0
# Memory does not grow with the text: ten times the tokens, at most 1.3 times the peak.
peak() { python3 - "$@" <<'EOF'
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
EOF
}
texts=("$text" "$text" "$text" "$text" "$text" "$text")
for limit in 10K 100K; do
    asked=("$teacher" --text "${texts[@]}" --context 64 --batch 8 --limit $limit)
    teacher-dump "${asked[@]}" -o dump-$limit.mts
    dumping=$(peak teacher-dump "${asked[@]}")
    distilling=$(peak layer-distill dump-$limit.mts --start-tokens 4K --length 64 --order 8)
    echo "$limit $dumping $distilling" >>peaks
done
python3 - <<'EOF'
rows = [line.split() for line in open("peaks")]
for tool, small, large in zip(("teacher-dump", "layer-distill"), rows[0][1:], rows[1][1:]):
    if int(large) > 1.3 * int(small):
        print(f"{tool}: {small} KiB at {rows[0][0]} tokens, {large} KiB at {rows[1][0]}")
EOF

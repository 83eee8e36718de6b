probe -q --json -k 3 --report report.json >/dev/null
python3 - <<'EOF'
import json
r = json.load(open("report.json"))
print(r["schema"], r["tool"], r["settings"]["top"], len(r["results"]), r["seconds"] >= 0, r["peak_bytes"] > 0)
EOF

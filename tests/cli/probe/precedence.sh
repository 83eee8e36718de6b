printf 'seed = 3\ntop = 7\n' >o.toml
top() { python3 -c 'import json,sys; s = json.loads(sys.stdin.read())["settings"]; print(s["seed"], s["top"])'; }
probe -q --json | top
probe -q --json --config o.toml | top
STILLHOUSE_SEED=2 probe -q --json --config o.toml | top
STILLHOUSE_SEED=2 probe -q --json --config o.toml --seed 1 -k 9 | top
STILLHOUSE_CONFIG=o.toml probe -q --json | top

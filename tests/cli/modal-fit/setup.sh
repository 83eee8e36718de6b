# SPDX-License-Identifier: Apache-2.0
# Four filters of 96 lags: three modes, decaying noise, zeros, a power law; and what other programs bring.
cp "$SOURCE"/tests/data/systems/*.npy .
fields() {   # fields EXPRESSION: of the JSON lines on standard input, as the list r
    python3 -c 'import json, sys; r = [json.loads(line) for line in sys.stdin]; print(eval(sys.argv[1]))' "$1"
}

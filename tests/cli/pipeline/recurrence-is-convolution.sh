# SPDX-License-Identifier: Apache-2.0
# Step by step the recurrence gives the logits of the exact convolution with the filters that its modes stand for, in every
# form that is not refused, with a window too, in f64 and f32.
dump -o dump.mts
check() {
    generate "$1" --prompt "It was a" -n 24 --greedy --ids --logprobs --precision f64 --mode recurrent >recurrent.txt
    generate "$1" --prompt "It was a" -n 24 --greedy --ids --logprobs --precision f64 --mode exact --filters modes >exact.txt
    python3 - "$1" "$2" <<'EOF'
import re, sys
a, b = (open(name).read() for name in ("recurrent.txt", "exact.txt"))
numbers = [[float(x) for x in re.findall(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?", text)] for text in (a, b)]
assert len(numbers[0]) == len(numbers[1]) > 24, (a, b)
worst = max(abs(x - y) for x, y in zip(*numbers))
if not worst <= float(sys.argv[2]):
    print(f"{sys.argv[1]}: recurrence and convolution differ by {worst}")
EOF
}
for window in 0 8; do
    distil dump.mts --steps 0 --window $window -f -o student.mts
    for order in 4 16; do
        modal-fit student.mts --order $order -f -o modes.mts
        realize-ssm modes.mts -f -o recurrence.mts
        check recurrence.mts 1e-8
        for form in modal cascade balanced dense companion; do
            if realize-ssm modes.mts --form $form -f -o recurrence.mts 2>refused; then
                # coefficients of the companion are rounded to f32
                if [ $form = companion ]; then check recurrence.mts 1e-3; else check recurrence.mts 1e-8; fi
            else
                # the cascade is what every other form may send to
                [ $form != cascade ] || cat refused
                grep -q 'take ' refused || cat refused
            fi
        done
    done
done

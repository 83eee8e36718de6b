# SPDX-License-Identifier: Apache-2.0
# Greedy text, its ids, a stop text; in double, where no two logits are too near.
generate -q "$teacher" --greedy --precision f64 -n 12 --prompt 'It was a'
echo
generate -q "$teacher" --greedy --precision f64 -n 12 --prompt 'It was a' --ids
generate -q "$teacher" --greedy --precision f64 -n 12 --prompt 'It was a' --stop 'to be'
echo '|'
printf 'It was a' >prompt
generate -q "$teacher" --greedy --precision f64 -n 3 --prompt-file prompt --logprobs | grep -o '^.*"logprobs"'
generate -q "$teacher" --greedy --precision f64 -n 3 --prompt-file - --ids <prompt

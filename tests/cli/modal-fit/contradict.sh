# SPDX-License-Identifier: Apache-2.0
# Options that contradict are refused before work begins.
for options in '--order 4 --tolerance 0.1' '--max-order 8' '--orders 2,x' '--orders none' '--resume' \
    '--objective h2 --horizon extended:2' '--objective hankel --max-radius 0.9' '--objective hankel --share layer' \
    '--objective hankel --effort fast' '--objective h2 --weights w.npy' '--weights w.npy --horizon extended:2' \
    '--input-spectrum w.npy --horizon weighted' '--horizon extended:0.5' '--horizon ever' '--share head --order 4'; do
    # shellcheck disable=SC2086
    modal-fit -q $options filters.npy -o out.mts 2>line && echo "accepted: $options"
    echo "$? $(wc -l <line)"
    [ ! -e out.mts ]
done | sort | uniq -c | awk '{print $1, $2, $3}'

# SPDX-License-Identifier: Apache-2.0
# Options whose machinery comes later are not accepted, contradictions neither.
for option in '--effort fast' '--objective h2' '--share layer' '--order 4 --tolerance 0.1' '--max-order 8' '--orders 2,x'; do
    modal-fit -q $option filters.npy -o out.mts 2>/dev/null || echo $?
done

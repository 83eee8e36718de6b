# SPDX-License-Identifier: Apache-2.0
# Filters that are realized can be left out; others stay.
modal-fit -q --order 4 filters.npy | hankel-spectrum -q | realize-ssm -q --drop-exact | tensor-stream list -q - |
    awk '$1 == "filter" {print "still there"} /^ssm.order|filter.sigma/ {print $1}'
hankel-spectrum -q filters.npy | realize-ssm -q --drop-exact >out.mts || echo $?

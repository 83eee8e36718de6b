# SPDX-License-Identifier: Apache-2.0
# A filter with NaN is named, and nothing is written.
status=0
hankel-spectrum -q nan.npy -o out.mts || status=$?
[ ! -e out.mts ]
exit $status

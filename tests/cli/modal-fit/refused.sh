# SPDX-License-Identifier: Apache-2.0
# Refused filters: order 0, error null, no stream.
status=0
modal-fit -q --json --order 2 nan.npy -o out.mts | fields '[(x["order"], x["error"] is None) for x in r]' || status=$?
[ ! -e out.mts ]
modal-fit -q --order 60 filters.npy -o out.mts || echo $?
[ ! -e out.mts ]
exit $status

# SPDX-License-Identifier: Apache-2.0
# Above the limit: exit 1, and the output is written all the same.
status=0
modal-fit -q --order 6 filters.npy | realize-ssm --check --check-limit 1e-12 -o out.mts || status=$?
tensor-stream check -q out.mts
exit $status

# SPDX-License-Identifier: Apache-2.0
# A tolerance out of reach: what is proven is said, in the line of the filter and at the end.
modal-fit --json --tolerance 1e-6 --max-order 8 filters.npy 2>said >lines
fields '[(i, x["order"], x["proven"]) for i, x in enumerate(r) if "proven" in x]' <lines | sed 's/below [0-9.]*/below X/'
sed -n 's/below [0-9.]*$/below X/p' said
modal-fit -q --json --tolerance 1e-6 --max-order 8 --no-bound filters.npy | fields '[x["proven"] for x in r if "proven" in x]'

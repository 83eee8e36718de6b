# SPDX-License-Identifier: Apache-2.0
# One line a filter: as many values as asked, rank and bounds of known filters.
hankel-spectrum -q --json -k 6 --operator window --orders 2,3,20 filters.npy >lines
fields '[len(x["sigma"]) for x in r], [x["filter"] for x in r], r[0]["rank"], r[2]["rank"], r[2]["sigma"][0]' <lines
fields 'r[0]["orders"]["2"] > 0.1, r[0]["orders"]["3"] < 1e-6, r[1]["orders"]["3"] > r[1]["orders"]["20"] > 0' <lines
hankel-spectrum -q --json --orders none filters.npy | fields 'r[0]["orders"], len(r[0]["sigma"])'
hankel-spectrum -q --json --tolerance 0.01 filters.npy | fields '[x["sufficient"] for x in r][0::2]'

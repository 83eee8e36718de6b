# SPDX-License-Identifier: Apache-2.0
# No order reaches the tolerance of noise, and that is said; the ascent proves no less than the plain spectra.
hankel-spectrum -q --json --orders 2,4,8 --tolerance 0.3 --max-order 4 filters.npy >raised
hankel-spectrum -q --json --orders 2,4,8 --plain-bounds filters.npy >plain
fields 'r[1]["sufficient"], r[1]["proven"], r[2]["sufficient"], r[2]["proven"]' <raised
cat raised plain | fields 'all(r[i]["orders"][d] >= r[i + 4]["orders"][d] for i in range(4) for d in ("2", "4", "8"))'
cat raised plain | fields 'r[1]["orders"]["8"] > 1.02 * r[5]["orders"]["8"]'
hankel-spectrum -q --json -k 4 filters.npy | fields '[(x["rank"], x["rank_is_least"], x["order_99"]) for x in r]'

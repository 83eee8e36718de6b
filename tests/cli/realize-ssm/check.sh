# SPDX-License-Identifier: Apache-2.0
# The check runs over the filter's length and ten times as far, and bounds the coefficients over all lags.
modal-fit -q --order 6 filters.npy -o in.mts
for precision in f64 f32 bf16; do
    realize-ssm -q --json --check --form cascade --state-precision $precision in.mts -o out.mts -f |
        fields '[(x["length"], 0 <= x["deviation"] <= x["deviation_beyond"] * 3 + 1e-12, x["rounding"] < 1e-5) for x in r]'
done

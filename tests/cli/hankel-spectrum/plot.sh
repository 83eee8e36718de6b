# SPDX-License-Identifier: Apache-2.0
# What the pictures need, and what is said without it.
command -v gnuplot >/dev/null || exit 77
hankel-spectrum -q --plot spectra.svg filters.npy >out.mts
grep -c '^</svg>' spectra.svg
mkdir bin
ln -s "$(command -v hankel-spectrum)" bin/
PATH=$PWD/bin hankel-spectrum -q --plot other.svg filters.npy -o other.mts || echo $?
ls other.*  2>/dev/null || echo nothing

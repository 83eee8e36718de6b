# SPDX-License-Identifier: Apache-2.0
# The formulas that S4D (as in H3) and StripedHyena evaluate, by NumPy, give the response of the fit.
python=
for candidate in python3 /usr/bin/python3; do
    "$candidate" -c 'import numpy' 2>/dev/null && python=$candidate
done
[ -n "$python" ] || { echo "skipped: needs python3-numpy" >&2; exit 77; }
cp "$SOURCE"/tests/data/systems/filters.npy four.npy
modal-fit -q --order 5 four.npy -o fit.mts
for part in poles residues fir order; do
    tensor-stream get -q filter.$part fit.mts -o $part.npy -f
done
for layout in stripedhyena s4d; do
    tensor-stream export -q --layout $layout fit.mts -o $layout.safetensors
    tensor-stream import -q $layout.safetensors -o $layout.mts
done
for part in poles residues D; do
    tensor-stream get -q filter.$part stripedhyena.mts -o striped.$part.npy
done
for part in log_dt inv_A_real A_imag B C D; do
    tensor-stream get -q filter.$part s4d.mts -o s4d.$part.npy
done
"$python" - <<'END'
import numpy as np
load = lambda name: np.load(name + ".npy").astype(np.complex128 if name in ("poles", "residues") else np.float64)
L = 96
t = np.arange(L)
poles, residues, fir, order = load("poles"), load("residues"), load("fir"), load("order").astype(int)
should = np.zeros((len(order), L))
for f, n in enumerate(order):
    should[f, 0] = fir[f, 0]
    should[f, 1:] = (residues[f, :n, None] * poles[f, :n, None] ** t[None, :-1]).sum(0).real
pair = lambda x: x[..., 0] + 1j * x[..., 1]
p, r = pair(load("striped.poles"))[:, :, 0], pair(load("striped.residues"))[:, :, 0]
striped = (r[..., None] * p[..., None] ** t).real.sum(1)
striped[:, 0] += load("striped.D")
dt = np.exp(load("s4d.log_dt"))[:, None]
a = dt * (-np.exp(load("s4d.inv_A_real")) + 1j * load("s4d.A_imag"))
c = pair(load("s4d.B")) * pair(load("s4d.C"))[0] * dt / (1 - a / 2)
s4d = 2 * (c[..., None] * ((1 + a / 2) / (1 - a / 2))[..., None] ** t).real.sum(1)
s4d[:, 0] += load("s4d.D")
for name, is_ in (("stripedhyena", striped), ("s4d", s4d)):
    off = np.linalg.norm(is_ - should) / np.linalg.norm(should)
    print(name, "agrees" if off < 1e-5 else off)
END

# SPDX-License-Identifier: Apache-2.0
# Poles of anyone: all entries count, a lone complex pole stands for its pair; the recurrence agrees in every form.
for form in modal cascade companion balanced dense; do
    realize-ssm -q --json --check --state-precision f64 --check-limit 1e-6 --form $form poles.npy residues.npy fir.npy |
        fields '[(x["form"], x["order"]) for x in r]'
done
realize-ssm -q poles.npy residues.npy fir.npy | tensor-stream list -q - | awk '/^ssm/ {print $1, $3, $4, $5}'
cp unstable.npy a.poles.npy; cp residues.npy a.residues.npy; cp fir.npy a.fir.npy
realize-ssm -q a.poles.npy a.residues.npy a.fir.npy >out.mts || echo $?

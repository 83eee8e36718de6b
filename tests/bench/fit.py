#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the lines of bench_fit with the best known errors, and with those of a peer.

fit.py REFERENCE.json FIT.jsonl [--peer PEER.jsonl]

REFERENCE.json: {kind: [{"orders": {d: {"best_rel_l2", "rigorous_lower_bound_rel_l2"}}}]}. PEER.jsonl: lines of
{"file", "order", "rel_l2": [one a filter], "cpu_s_per_filter"}. Prints one JSON object.
"""
import argparse
import json


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))] if values else None


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument('reference')
parser.add_argument('fit')
parser.add_argument('--peer')
options = parser.parse_args()
reference = json.load(open(options.reference))
fits = [json.loads(line) for line in open(options.fit)]
orders, violations, lower, worst = {}, [], [], []
for fit in fits:
    channels = reference.get(fit['file'].removesuffix('.npy'))
    known = channels and channels[fit['channel']].get('orders', {}).get(str(fit['order']))
    if not known:
        continue
    best, bound = known['best_rel_l2'], known['rigorous_lower_bound_rel_l2']
    where = [fit['file'], fit['channel'], fit['order'], fit['rel_l2'], best]
    if bound is not None and fit['rel_l2'] < bound * (1 - 1e-6) - 1e-14:
        violations.append(where)
    to = orders.setdefault(fit['order'], {'ratios': [], 'small_missed': []})
    if best > 1e-6:
        ratio = fit['rel_l2'] / best
        to['ratios'].append(ratio)
        if ratio > 1.02:
            worst.append([round(ratio, 4)] + where)
        if ratio < 0.999:
            lower.append([round(ratio, 4)] + where)
    elif fit['rel_l2'] > max(3 * best, 1e-12):
        to['small_missed'].append(where)
report = {'orders': {}, 'violations': violations, 'above_1.02': sorted(worst, reverse=True), 'lower': sorted(lower)}
for order, found in sorted(orders.items()):
    r = found['ratios']
    within = {str(x): round(100 * sum(v <= x for v in r) / len(r), 1) for x in (1.005, 1.02, 1.05)} if r else {}
    report['orders'][order] = {'pairs': len(r), 'percent_within': within, 'median': quantile(r, 0.5),
                               'p95': quantile(r, 0.95), 'max': max(r, default=None),
                               'small_missed': found['small_missed']}
times = {}
for fit in fits:
    times.setdefault(f"L={fit['length']} d={fit['order']}", []).append(fit['cpu_ms'])
report['cpu_ms'] = {key: {'mean': round(sum(v) / len(v), 3), 'max': round(max(v), 3)} for key, v in times.items()}
if options.peer:
    report['peer'] = []
    for line in open(options.peer):
        peer = json.loads(line)
        ours = {f['channel']: f for f in fits if f['file'] == peer['file'] and f['order'] == peer['order']}
        if ours:
            cpu = sum(f['cpu_ms'] for f in ours.values()) / len(ours)
            ratios = [error / ours[c]['rel_l2'] for c, error in enumerate(peer['rel_l2']) if c in ours]
            report['peer'].append({'file': peer['file'], 'order': peer['order'], 'error_ratio_min': min(ratios),
                                   'error_ratio_median': quantile(ratios, 0.5),
                                   'cpu_ratio': 1e3 * peer['cpu_s_per_filter'] / cpu})
print(json.dumps(report, indent=1))

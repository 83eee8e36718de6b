#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Training speeds beside PyTorch's, alternating in one run: training.py BENCH PEERS PYTHON [--rounds 3] [--only NAME].

BENCH is build/tests/bench/bench_training, PEERS the folder with hyena_step.py, neox_forward.py, fft_conv.py and
make_neox.py, PYTHON an interpreter with torch. Ratios are of units (tokens, sequences) a second of wall time, both sides
with two threads, and of CPU time, which a busy machine distorts least; the peer is run with one thread too, in f32 and
for bf16 in both, and its best figure counts. Goals are of wall time: where others use the machine, run it by
`chrt -f 1`. Prints one JSON line a comparison: minimum and median of the ratios over the rounds,
both sides' shares of the peak measured in the same run, the goal and whether it is met; at the end all of it as one
JSON table."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

# Name: least ratio to the peer; or that share of the peak (f32 multiply-adds, or bf16 dot products) counts as well.
GOALS = {'operator f32': 3.0, 'operator bf16': 5.0, 'convolution f32': 4.0, 'teacher f32': 2.3, 'teacher bf16': 2.0,
         'tune f32': 2.5, 'tune bf16': 2.5}
SHARES = {'f32': 0.75, 'bf16': 0.60}

# Runs a peer with its clock replaced: wall and CPU seconds of each call, on a line of its own.
WRAPPER = r"""
import json, runpy, sys, time
sys.path.insert(0, sys.argv[1])
import common
def timed(work, seconds=5.0, warm=1, repeats=3):
    for _ in range(warm):
        work()
    wall, cpu, start = [], [], time.perf_counter()
    while len(wall) < repeats or time.perf_counter() - start < seconds:
        t, c = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - t)
        cpu.append(time.process_time() - c)
    print(json.dumps({'cpu_s': sum(cpu) / len(cpu), 'wall_s': sorted(wall)[len(wall) // 2]}), flush=True)
    wall.sort()
    return wall[0], wall[len(wall) // 2]
common.timed = timed
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""

HERE = os.path.dirname(os.path.abspath(__file__))


def lines(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        shown = ' '.join(word for word in command if word != WRAPPER)
        sys.exit(f"training.py: {shown}: {done.stderr.strip().splitlines()[-1:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{')]


def peer(options, script, arguments, units, threads):
    folder = HERE if script == 'peer_tune.py' else options.peers
    found = {}
    for line in lines([options.python, '-c', WRAPPER, options.peers, os.path.join(folder, script), *arguments,
                       '--threads', str(threads), '--seconds', str(options.seconds)]):
        found.update(line)
    return units / found['cpu_s'], units / found['wall_s']


def compare(options, name, ours, script, peer_arguments, units):
    by_cpu, by_wall, our_rates, peer_rates, peaks, shares = [], [], [], [], [], []
    for _ in range(options.rounds):
        theirs = [peer(options, script, arguments, units, threads)
                  for arguments in peer_arguments for threads in options.peer_threads]
        mine = lines([options.bench, *ours, str(options.seconds)])[-1]
        best_cpu = max(rate for rate, _ in theirs)
        best_wall = max(rate for _, rate in theirs)
        by_cpu.append(mine['tokens_per_cpu_s'] / best_cpu)
        by_wall.append(mine['tokens_per_s'] / best_wall)
        our_rates.append(mine['tokens_per_cpu_s'])
        peer_rates.append(best_cpu)
        key = 'peak_bf16_gflops' if mine['dtype'] == 'bf16' else 'peak_fma_gflops'
        peaks.append(mine[key])
        shares.append(mine['share_of_peak_cpu'])
    peer_share = statistics.median(s * p / o for s, p, o in zip(shares, peer_rates, our_rates))
    goal, share = GOALS[name], SHARES[name.split()[1]]
    met = statistics.median(by_wall) >= goal or statistics.median(shares) >= share
    row = {'name': name, 'rounds': options.rounds, 'goal': goal, 'or_share': share, 'met': met,
           'ratio_cpu_min': round(min(by_cpu), 2), 'ratio_cpu_median': round(statistics.median(by_cpu), 2),
           'ratio_wall_min': round(min(by_wall), 2), 'ratio_wall_median': round(statistics.median(by_wall), 2),
           'ours_per_cpu_s': round(statistics.median(our_rates)),
           'peer_per_cpu_s': round(statistics.median(peer_rates)), 'peak_gflops': round(statistics.median(peaks), 1),
           'our_share_min': round(min(shares), 3), 'our_share_median': round(statistics.median(shares), 3),
           'peer_share': round(peer_share, 3)}
    print(json.dumps(row), flush=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('bench')
    parser.add_argument('peers')
    parser.add_argument('python')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=int, default=3)
    parser.add_argument('--peer-threads', type=int, nargs='+', default=[1, 2], help='the best of these counts')
    parser.add_argument('--only', action='append', help='of the names; default all')
    parser.add_argument('--model', help='GPT-NeoX folder of the 70M shape for the teacher; default one that '
                                        'make_neox.py makes for this run')
    options = parser.parse_args()
    operator = ['--batch', '8', '--length', '1024']
    tune = ['--batch', '8', '--length', '512']
    cases = {
        'operator f32': (['operator', 'f32', '2', '8', '1024', '70m'], 'hyena_step.py', [operator], 8192),
        'operator bf16': (['operator', 'bf16', '2', '8', '1024', '70m'], 'hyena_step.py',
                          [operator, operator + ['--dtype', 'bf16']], 8192),
        'convolution f32': (['convolution', 'f32', '2', '8', '1024', '70m'], 'fft_conv.py', [[]], 4096),
        'tune f32': (['tune', 'f32', '2', '8', '512', 'bookworm'], 'peer_tune.py', [tune], 4096),
        'tune bf16': (['tune', 'bf16', '2', '8', '512', 'bookworm'], 'peer_tune.py',
                      [tune, tune + ['--dtype', 'bf16']], 4096),
    }
    for kind in ('f32', 'bf16'):
        cases[f'teacher {kind}'] = (['teacher', kind, '2', '2', '1024', '70m'], 'neox_forward.py', None, 2048)
    chosen = [name for name in GOALS if not options.only or name in options.only]
    for name in options.only or []:
        if name not in GOALS:
            parser.error(f"--only {name}: expected one of {', '.join(GOALS)}")
    with tempfile.TemporaryDirectory() as scratch:
        if not options.model and any(name.startswith('teacher') for name in chosen):
            options.model = os.path.join(scratch, 'neox')
            lines([options.python, os.path.join(options.peers, 'make_neox.py'), options.model])
        rows = []
        for name in chosen:
            ours, script, arguments, units = cases[name]
            kind = name.split()[1]
            arguments = arguments or [[options.model, '--dtype', each] for each in sorted({'f32', kind})]
            rows.append(compare(options, name, ours, script, arguments, units))
    print(json.dumps({'comparisons': rows, 'met': sum(row['met'] for row in rows), 'of': len(rows)}, indent=1))


if __name__ == '__main__':
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Processor time of hankel-spectrum beside a dense singular value decomposition, alternating; JSON.

    tests/bench/spectrum.py BUILD FILTERS.npy --peer 'python dense_hankel.py' [--row 0] [-k 64] [--rounds 2]

The peer is called as PEER FILTERS.npy --row R --operator O and prints JSON with the leading values under "sigma".
Both count user and system time of the whole process, on one thread.
"""
import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile

import numpy


def run(command):
    """Standard output and processor seconds of a command on one thread."""
    environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout.decode(), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("filters")
    parser.add_argument("--peer", required=True)
    parser.add_argument("--row", type=int, default=0)
    parser.add_argument("--operator", choices=["window", "zero"], default="window")
    parser.add_argument("-k", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()

    filters = numpy.load(options.filters)
    row = filters.reshape(-1, filters.shape[-1])[options.row : options.row + 1]
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        one = os.path.join(folder, "one.npy")
        numpy.save(one, row)
        tool = [os.path.join(options.build, "bin", "hankel-spectrum"), "-q", "--json", "--orders", "none", "-k",
                str(options.k), "--operator", options.operator, "--threads", "1", one]
        peer = shlex.split(options.peer) + [os.path.abspath(options.filters), "--row", str(options.row), "--operator",
                                            options.operator]
        for _ in range(options.rounds):
            text, seconds = run(tool)
            sigma = json.loads(text)["sigma"]
            ours.append(seconds)
            text, seconds = run(peer)
            reference = json.loads(text)["sigma"]
            theirs.append(seconds)
    difference = max(abs(a - b) for a, b in zip(sigma, reference)) / reference[0]
    json.dump({"filters": os.path.basename(options.filters), "length": int(row.shape[-1]), "k": options.k,
               "operator": options.operator, "processor_s": min(ours), "peer_processor_s": min(theirs),
               "ratio": min(theirs) / min(ours), "largest_difference_over_sigma_1": difference}, sys.stdout)
    print()


if __name__ == "__main__":
    main()

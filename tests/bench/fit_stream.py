#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# fit_stream.py BUILD [FILTERS [LENGTH [ORDER]]]: streams many filters (default 100,000 of 1024 lags, order 16) through
# modal-fit --effort fast without bounds, and prints filters a second of processor, peak memory, and what of it is above
# the result tensors. Needs room for the filters twice in a scratch folder.
import array
import json
import math
import os
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time

build = sys.argv[1]
count, length, order = (int(x) for x in (sys.argv[2:] + ["100000", "1024", "16"][len(sys.argv) - 2:]))
random.seed(1)


def response():
    """Twelve damped modes, and noise of a hundredth of them."""
    modes = []
    for _ in range(12):
        radius, angle = math.exp(-math.exp(random.uniform(-6, -1))), random.uniform(0, math.pi)
        modes.append([2 * radius * math.cos(angle), -radius * radius, random.gauss(0, 1), random.gauss(0, 1)])
    h = []
    for t in range(length):
        h.append(sum(mode[3] for mode in modes) + 0.01 * random.gauss(0, 1) * math.exp(-4 * t / length))
        for mode in modes:
            mode[2], mode[3] = mode[3], mode[0] * mode[3] + mode[1] * mode[2]
    return array.array("f", h)


with tempfile.TemporaryDirectory(prefix="stillhouse-bench.") as folder:
    path, out = folder + "/many.npy", folder + "/fits.mts"
    distinct = [response().tobytes() for _ in range(min(count, 200))]
    text = ("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (count, length)).ljust(117) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode())
        for i in range(count):
            file.write(distinct[i % len(distinct)])
    begin = time.monotonic()
    subprocess.run([build + "/bin/modal-fit", "-q", "--effort", "fast", "--no-bound", "--order", str(order), path, "-o",
                    out], check=True)
    wall = time.monotonic() - begin
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    results = os.path.getsize(out) - os.path.getsize(path)
    seconds = used.ru_utime + used.ru_stime
    print(json.dumps({"filters": count, "length": length, "order": order, "cpu_seconds": round(seconds, 2),
                      "wall_seconds": round(wall, 2), "filters_per_cpu_second": round(count / seconds, 1),
                      "peak_MiB": round(used.ru_maxrss / 1024, 1), "results_MiB": round(results / 2 ** 20, 1),
                      "beside_results_MiB": round(used.ru_maxrss / 1024 - results / 2 ** 20, 1)}))

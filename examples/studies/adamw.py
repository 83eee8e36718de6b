# SPDX-License-Identifier: Apache-2.0
# adamw.py FILTERS.npy ORDER STEPS: fits conjugate pairs to lags 1.. of each filter by AdamW, as published: polar poles
# of modulus sigmoid(a), Cartesian residues, time constants at first spread evenly in logarithms up to the length, a cosine
# schedule. Prints processor seconds a filter, median over the filters of the best error so far (of all rates), steps.
import sys
import time

import numpy

filters = numpy.load(sys.argv[1]).astype(numpy.float32)
pairs, steps, rates = max(int(sys.argv[2]) // 2, 1), int(sys.argv[3]), (3e-3, 1e-2)
target = filters[:, 1:]
target = target / numpy.linalg.norm(target, axis=1, keepdims=True)
count, lags = target.shape
t = numpy.arange(lags, dtype=numpy.float32)


def model(a, angle, re, im):
    """Response, and its derivatives by each parameter, [filters, pairs, lags]."""
    radius = 1 / (1 + numpy.exp(-a))
    decay = numpy.exp(numpy.log(radius)[..., None] * t)
    cosine = decay * numpy.cos(angle[..., None] * t)
    sine = decay * numpy.sin(angle[..., None] * t)
    mode = re[..., None] * cosine - im[..., None] * sine
    turned = -re[..., None] * sine - im[..., None] * cosine
    return mode.sum(1), (mode * t * (1 - radius)[..., None], turned * t, cosine, -sine)


paths = []
for rate in rates:
    random = numpy.random.default_rng(0)
    constant = numpy.exp(random.random((count, pairs)) * numpy.log(lags))
    radius = numpy.minimum(numpy.exp(-1 / constant), 1 - 1e-6)
    state = [numpy.log(radius / (1 - radius)), random.random((count, pairs)) * numpy.pi,
             random.standard_normal((count, pairs)) / pairs, random.standard_normal((count, pairs)) / pairs]
    state = [x.astype(numpy.float32) for x in state]
    first = [numpy.zeros_like(x) for x in state]
    second = [numpy.zeros_like(x) for x in state]
    best, path, begin = numpy.full(count, numpy.inf), [], time.process_time()
    for step in range(1, steps + 1):
        response, slopes = model(*state)
        error = response - target
        best = numpy.minimum(best, numpy.linalg.norm(error, axis=1))
        now = 0.5 * rate * (1 + numpy.cos(numpy.pi * (step - 1) / steps))
        for x, slope, m, v in zip(state, slopes, first, second):
            gradient = 2 * (slope * error[:, None]).sum(2)
            m += 0.1 * (gradient - m)
            v += 0.001 * (gradient ** 2 - v)
            x -= now * (m / (1 - 0.9 ** step)) / (numpy.sqrt(v / (1 - 0.999 ** step)) + 1e-8)
        path.append((time.process_time() - begin, best))
    paths.append(path)

print("# seconds\terror\tsteps")
last = 0.0
for step in range(steps):
    seconds = sum(path[step][0] for path in paths) / count       # both rates must be run to know the better
    if seconds > 1.05 * last or step == steps - 1:
        last = seconds
        error = numpy.median(numpy.min([path[step][1] for path in paths], axis=0))
        print("%.3e\t%.4e\t%d" % (seconds, error, step + 1))

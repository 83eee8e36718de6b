#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares bench_tokenizer with the `tokenizers` library: speed on one core, and ids and texts of random strings.

Usage: tests/bench/tokenizer.py PROGRAM tokenizer.json TEXT [--rounds N] [--random N] [--seed N]

Prints one JSON object. Both encode TEXT from memory or page cache on one thread, in alternating rounds, of which the
median counts; the library gets pieces of 4 KiB, 64 KiB and the whole, and its best is taken. `mismatches` counts those
of --random strings whose ids (whole, and as a stream fed in odd pieces) or decoded texts differ; any makes exit 1.
"""
import argparse
import json
import os
import random
import statistics
import struct
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
try:
    import tokenizers
except ImportError:
    print("tokenizer.py: the Python package `tokenizers` is not here (pip install tokenizers)", file=sys.stderr)
    sys.exit(77)


class Ours:
    """bench_tokenizer serving records."""

    def __init__(self, program, file):
        self.process = subprocess.Popen([program, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, what, data, size):
        self.process.stdin.write(what + struct.pack("<I", len(data)) + data)
        self.process.stdin.flush()
        count, = struct.unpack("<I", self.process.stdout.read(4))
        return self.process.stdout.read(count * size)

    def encode(self, text, what=b"e"):
        data = self.ask(what, text.encode(), 4)
        return list(struct.unpack(f"<{len(data) // 4}I", data))

    def decode(self, ids, what=b"d"):
        return self.ask(what, struct.pack(f"<{len(ids)}I", *ids), 1).decode()


def time_library(tokenizer, text, size):
    """Seconds to encode text in pieces of `size` characters."""
    start = time.perf_counter()
    for at in range(0, len(text), size):
        tokenizer.encode(text[at:at + size], add_special_tokens=False)
    return time.perf_counter() - start


def random_string(rng, words, specials):
    """Words, runs of spaces, tokens whole and broken, marks, many scripts, anything."""
    spaces = [" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u2003", "\u3000", "\u0085", "\u200b", "\x1c"]
    ranges = [(0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x530), (0x590, 0x700), (0x900, 0xE00),
              (0xAC00, 0xD7A4), (0x1100, 0x1200), (0x3040, 0x3100), (0x4E00, 0x9FFF), (0x1F300, 0x1F700),
              (0xF900, 0xFB00), (0xE000, 0x110000)]

    def part():
        kind = rng.randrange(9)
        if kind == 0:
            return rng.choice(["", " "]) + rng.choice(words)
        if kind == 1:
            return " " * rng.randrange(1, 60)
        if kind == 2:
            return "".join(rng.choice(spaces) for _ in range(rng.randrange(1, 6)))
        if kind == 3:
            special = rng.choice(specials)
            at = rng.randrange(len(special) + 1)
            return rng.choice([special, special[:at], special[at:], special[:at] + " " + special[at:]])
        if kind == 4:
            return rng.choice("aeioucnqAE\u00c5\u03a9\uac00") + "".join(
                chr(rng.randrange(0x300, 0x370)) for _ in range(rng.randrange(1, 5)))
        if kind == 5:
            return rng.choice(["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "\u2019s", "'", "''"])
        if kind == 6:
            return rng.choice(["a", "the", "=", "-", "\n", "\u00e9", "\u65e5"]) * rng.randrange(1, 120)
        if kind == 7:
            return str(rng.randrange(10 ** rng.randrange(1, 20)))
        low, high = rng.choice(ranges)
        return "".join(chr(rng.randrange(low, high)) for _ in range(rng.randrange(1, 12)))

    return "".join(part() for _ in range(rng.choice([1, 2, 3, 5, 8, 13, 30])))


def compare(ours, theirs, text, count, seed):
    """The number of strings on which anything differs; the first few go to standard error."""
    rng = random.Random(seed)
    words = text[:200000].split(" ")
    specials = [token.content for token in theirs.get_added_tokens_decoder().values()] or ["<s>"]
    size = theirs.get_vocab_size()
    wrong = 0
    for _ in range(count):
        string = random_string(rng, words, specials)
        ids = theirs.encode(string).ids
        some = ids if rng.random() < 0.5 else [rng.randrange(size) for _ in range(rng.randrange(1, 40))]
        if not (ours.encode(string) == ids and ours.encode(string, b"s") == ids
                and ours.decode(some) == theirs.decode(some, skip_special_tokens=False)
                and ours.decode(some, b"p") == theirs.decode(some, skip_special_tokens=True)
                and ours.decode(some, b"i") == theirs.decode(some, skip_special_tokens=False)):
            wrong += 1
            if wrong <= 5:
                print(f"differs: {ascii(string)} or ids {some}", file=sys.stderr)
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("tokenizer")
    parser.add_argument("text")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--random", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    theirs = tokenizers.Tokenizer.from_file(options.tokenizer)
    with open(options.text, encoding="utf-8", newline="") as file:
        text = file.read()
    size = len(text.encode())
    ours_seconds, theirs_seconds = [], {4096: [], 65536: [], len(text): []}
    for _ in range(options.rounds):
        command = [options.program, options.tokenizer, options.text]
        line = subprocess.run(command, check=True, capture_output=True).stdout
        ours_seconds.append(json.loads(line)["seconds"])
        for piece, seconds in theirs_seconds.items():
            seconds.append(time_library(theirs, text, piece))
    ours_best = size / 1e6 / statistics.median(ours_seconds)
    theirs_best = size / 1e6 / min(statistics.median(seconds) for seconds in theirs_seconds.values())
    wrong = compare(Ours(options.program, options.tokenizer), theirs, text, options.random, options.seed)
    print(json.dumps({"tokenizer": os.path.basename(os.path.dirname(options.tokenizer)) + "/"
                      + os.path.basename(options.tokenizer), "bytes": size, "library": tokenizers.__version__,
                      "mb_per_s": round(ours_best, 2), "library_mb_per_s": round(theirs_best, 2),
                      "ratio": round(ours_best / theirs_best, 2), "random": options.random, "mismatches": wrong}))
    return 1 if wrong else 0


sys.exit(main())

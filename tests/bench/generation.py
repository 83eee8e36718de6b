#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Generation speeds beside llama.cpp and transformers, alternating in one run.

BENCH is the folder build/tests/bench, PEERS the one that holds venv/ and llama/bin/ (made by `setup --llama`), SCRIPTS
the one with make_neox.py, neox_forward.py and neox_generate.py. Models with random weights are made once and kept in
PEERS. Of every row ours and the peer run in turn, --rounds times; speeds are wall times of two threads, so the machine
has to be quiet. Prints a JSON line for each row as soon as it is done - minimum and median of the ratios, the speeds of
both sides, our share of the limit that was measured in the same process, the goals and whether the medians meet
them - and at the end one object with all rows and the machine."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

# The peer's converter asks transformers for the configuration, which renames what it is to read: have it refuse.
CONVERT = """
import runpy, sys, transformers
def refuse(*arguments, **options):
    raise OSError('config.json is read as it stands')
transformers.AutoConfig.from_pretrained = refuse
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition('/')[0])
runpy.run_path(sys.argv[0], run_name='__main__')
"""
ROWS = ['decode-1', 'decode-1-1.4b', 'batch-8', 'batch-64', 'batch-256', 'context', 'prefill-512', 'prefill-8192',
        'neighbour', 'first-token']


def fail(message):
    sys.exit('generation.py: ' + message)


def run(command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ['no word on standard error'])[-1]
        fail(' '.join(str(word) for word in command if word != CONVERT) + f': exit {done.returncode}: {last}')
    return done.stdout


def json_lines(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith('{')]


class Peers:
    def __init__(self, options):
        self.options = options
        self.python = os.path.join(options.peers, 'venv/bin/python')
        self.bin = os.path.join(options.peers, 'llama/bin')
        self.converter = os.path.join(options.peers, 'llama-source/vendor/llama.cpp/convert_hf_to_gguf.py')

    def folder(self, shape, dtype='f16'):
        path = os.path.join(self.options.peers, f'neox-{shape}' + ('' if dtype == 'f16' else '-' + dtype))
        if not os.path.exists(os.path.join(path, 'config.json')):
            run([self.python, os.path.join(self.options.scripts, 'make_neox.py'), path, '--shape', shape, '--dtype',
                 dtype, '--max-position', 65536 if dtype == 'bf16' else 2048])
        return path

    def gguf(self, shape, kind):
        path = os.path.join(self.options.peers, f'neox-{shape}.{kind}.gguf')
        if not os.path.exists(path):
            part = path + '.part'
            if kind == 'q8_0':
                run([os.path.join(self.bin, 'llama-quantize'), self.gguf(shape, 'f16'), part, 'q8_0'])
            else:
                run([self.python, '-c', CONVERT, self.converter, self.folder(shape), '--outtype', kind, '--outfile',
                     part])
            os.rename(part, path)
        return path

    def llama(self, shape, kind, prompt, new, depth=0):
        """Tokens a second of llama-bench: of a prompt, or of `new` tokens behind `depth` others."""
        found = json_lines(run([os.path.join(self.bin, 'llama-bench'), '-m', self.gguf(shape, kind), '-t',
                                self.options.threads, '-p', prompt, '-n', new, '-d', depth, '-r', self.options.repeats,
                                '-o', 'jsonl']))
        return found[-1]['avg_ts']

    def llama_batch(self, shape, kind, batch, prompt=512, new=32):
        found = json_lines(run([os.path.join(self.bin, 'llama-batched-bench'), '-m', self.gguf(shape, kind), '-t',
                                self.options.threads, '-tb', self.options.threads, '-c', batch * (prompt + new), '-npp',
                                prompt, '-ntg', new, '-npl', batch, '-ub', 512, '--output-format', 'jsonl']))
        return found[-1]['speed_tg']

    def transformers(self, script, arguments, speed):
        """The best of what `speed` makes of its lines."""
        found = json_lines(run([self.python, os.path.join(self.options.scripts, script), self.folder('70m', 'bf16'),
                                '--threads', self.options.threads, *arguments], cwd=self.options.scripts))
        return max(speed(line) for line in found)


class Ours:
    def __init__(self, options):
        self.options = options

    def bench(self, threads=None, **arguments):
        words = [f'{key}={value}' for key, value in arguments.items()]
        found = json.loads(run([os.path.join(self.options.bench, 'bench_generation'), 'parts=no',
                                f'threads={threads or self.options.threads}', f'seconds={self.options.seconds}',
                                *words]))
        speed = found.get('decode_tokens_per_s', found.get('prefill_tokens_per_s'))
        return {'speed': speed, 'mean': found.get('mean_tokens_per_s', speed), 'share': found['share_of_limit'],
                'backend': found['backend']}


def alternate(options, ours, peer):
    """Both sides in turn: [(ours, peer)] of every round."""
    found = []
    for number in range(options.rounds):
        if number % 2 == 0:
            mine = ours()
            theirs = peer()
        else:
            theirs = peer()
            mine = ours()
        found.append((mine, theirs))
    return found


def row(name, pairs, goal, share_goal=None, **more):
    ratios = [mine['speed'] / theirs for mine, theirs in pairs]
    shares = [mine['share'] for mine, _ in pairs if mine.get('share') is not None]
    line = {'row': name, 'ratio_min': min(ratios), 'ratio_median': statistics.median(ratios), 'goal': goal,
            'ours': [mine['speed'] for mine, _ in pairs], 'peer': [theirs for _, theirs in pairs], **more}
    line['met'] = line['ratio_median'] >= goal
    if shares and share_goal is not None:
        line.update(share_min=min(shares), share_median=statistics.median(shares), share_goal=share_goal)
        line['share_met'] = line['share_median'] >= share_goal
    print(json.dumps(line), flush=True)
    return line


def decode(options, ours, peers, shape, goals, share_goals):
    for weights, kind in (('bf16', 'f16'), ('int8', 'q8_0')):
        pairs = alternate(options, lambda weights=weights: ours.bench(shape=shape, weights=weights),
                          lambda kind=kind: peers.llama(shape, kind, 0, 64, 512))
        yield row(f'decode batch 1, {shape}, {weights}', pairs, goals[weights], share_goals[weights],
                  against=f'llama.cpp {kind}')


def batch(options, ours, peers, size, goals, share_goal, better):
    for weights, kind in (('bf16', 'f16'), ('int8', 'q8_0')):
        kinds = ('f16', 'q8_0') if better else (kind,)
        pairs = alternate(options, lambda weights=weights: ours.bench(weights=weights, batch=size),
                          lambda kinds=kinds: max(peers.llama_batch('70m', one, size) for one in kinds))
        yield row(f'batch {size}, {weights}', pairs, goals[weights], share_goal,
                  against='llama.cpp ' + ' or '.join(kinds))


def batch_256(options, ours, peers):
    """512 + 256 tokens of 256 sequences, prompts included; the peer at the best of its batches. Both sides from the
    speed of the prompt and that of steps: the peer's are its first, behind the fewest keys."""
    def mine():
        prompt = ours.bench(prefill=512, batch=16)
        steps = ours.bench(batch=256)
        seconds = 256 * 512 / prompt['speed'] + 256 * 256 / steps['speed']
        return {'speed': 256 * 256 / seconds, 'share': steps['share']}

    def whole(line):
        return 256 / (512 / line['prefill_tokens_per_s'] + 256 / line['decode_tokens_per_s'])

    def theirs():
        return max(peers.transformers('neox_generate.py', ['--dtype', 'bf16', '--batch', size, '--new', 17,
                                                           '--repeats', 1], whole) for size in options.peer_batches)
    yield row('batch 256, 512 + 256 tokens, bf16', alternate(options, mine, theirs), 10.0, 0.55,
              against='transformers bf16, batches ' + ', '.join(map(str, options.peer_batches)))


def context(options, ours):
    pairs = alternate(options, lambda: ours.bench(context=32768), lambda: ours.bench(context=512)['speed'])
    yield row('context 32768 against 512, batch 1, bf16', pairs, 0.98, against='itself')


def prefill(options, ours, peers, tokens):
    def theirs(measure):
        return lambda: measure()
    mine = lambda: ours.bench(prefill=tokens)
    pairs = alternate(options, mine, theirs(lambda: peers.llama('70m', 'f16', tokens, 0)))
    yield row(f'prefill {tokens}, bf16', pairs, 4.0, 0.70, against='llama.cpp f16')
    pairs = alternate(options, mine, theirs(lambda: peers.transformers(
        'neox_forward.py', ['--dtype', 'bf16', '--batch', 1, '--length', tokens, '--seconds', 4],
        lambda line: line['tokens_per_s_best'])))
    yield row(f'prefill {tokens}, bf16', pairs, 2.5, 0.70, against='transformers bf16')


def neighbour(options, ours):
    def busy():
        spin = subprocess.Popen([sys.executable, '-c', 'while True: pass'])
        try:
            found = ours.bench(threads=2)
            return {'speed': found['mean']}          # a median would not show what the neighbour takes
        finally:
            spin.kill()
            spin.wait()
    pairs = alternate(options, busy, lambda: ours.bench(threads=1)['mean'])
    yield row('two threads beside a busy neighbour, batch 1, bf16', pairs, 0.9, against='itself, one thread alone')


def first_token(options):
    """Wall time of a whole process: warm file cache, one token."""
    for model in options.model:
        seconds = []
        for number in range(options.rounds + 1):
            start = time.perf_counter()
            run([options.generate, '-q', model, '--prompt', 'Hello', '-n', 1, '--greedy', '--precision', 'bf16', '-t',
                 options.threads])
            seconds += [time.perf_counter() - start] if number > 0 else []   # the first warms the file cache
        line = {'row': 'first token, bf16, ' + os.path.basename(model.rstrip('/')), 'seconds_min': min(seconds),
                'seconds_median': statistics.median(seconds), 'goal': 0.2,
                'met': statistics.median(seconds) <= 0.2}
        print(json.dumps(line), flush=True)
        yield line


def machine():
    with open('/proc/cpuinfo', encoding='utf-8') as info:
        names = [line.split(':', 1)[1].strip() for line in info if line.startswith('model name')]
    return {'processor': names[0] if names else 'unknown', 'processors': os.cpu_count(), 'load': os.getloadavg()[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('bench')
    parser.add_argument('peers')
    parser.add_argument('scripts')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--repeats', type=int, default=3, help='of llama-bench, within a round')
    parser.add_argument('--seconds', type=float, default=2.0, help='that ours measures, within a round')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--only', action='append', choices=ROWS, help='may be given several times')
    parser.add_argument('--peer-batches', type=lambda text: [int(n) for n in text.split(',')], default=[16, 64])
    parser.add_argument('--generate', help='the tool, for the time to the first token')
    parser.add_argument('--model', action='append', default=[], help='what it generates with; several may be given')
    parser.add_argument('-o', '--output', help='where the table goes as well')
    options = parser.parse_args()
    wanted = options.only or [name for name in ROWS if name != 'first-token' or options.generate]
    if 'first-token' in wanted and not (options.generate and options.model):
        fail('first-token: give --generate TOOL and --model MODEL')
    ours, peers = Ours(options), Peers(options)
    makers = {
        'decode-1': lambda: decode(options, ours, peers, '70m', {'bf16': 1.8, 'int8': 1.5},
                                   {'bf16': 0.85, 'int8': 0.80}),
        'decode-1-1.4b': lambda: decode(options, ours, peers, '1.4b', {'bf16': 1.4, 'int8': 1.4},
                                        {'bf16': 0.90, 'int8': 0.90}),
        'batch-8': lambda: batch(options, ours, peers, 8, {'bf16': 3.0, 'int8': 4.0}, 0.65, False),
        'batch-64': lambda: batch(options, ours, peers, 64, {'bf16': 3.5, 'int8': 5.0}, 0.60, True),
        'batch-256': lambda: batch_256(options, ours, peers),
        'context': lambda: context(options, ours),
        'prefill-512': lambda: prefill(options, ours, peers, 512),
        'prefill-8192': lambda: prefill(options, ours, peers, 8192),
        'neighbour': lambda: neighbour(options, ours),
        'first-token': lambda: first_token(options)}
    before = machine()
    rows = [line for name in wanted for line in makers[name]()]
    table = {'machine': before, 'load_after': os.getloadavg()[0], 'threads': options.threads, 'rounds': options.rounds,
             'rows': rows, 'met': sum(line['met'] for line in rows)}
    print(json.dumps(table, indent=1))
    if options.output:
        folder = os.path.dirname(os.path.abspath(options.output))
        with tempfile.NamedTemporaryFile('w', dir=folder, delete=False) as out:
            json.dump(table, out, indent=1)
        os.replace(out.name, options.output)


if __name__ == '__main__':
    main()

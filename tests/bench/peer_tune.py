# SPDX-License-Identifier: Apache-2.0
"""PyTorch eager: one fine-tune step (cross-entropy) of a whole Hyena network, its operator that of hyena_step.py."""
import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F
from common import report, timed
from hyena_step import Hyena


class Block(nn.Module):
    def __init__(self, d, length):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.mixer = Hyena(d, length)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x):
        return x + self.mixer(self.norm1(x)) + self.down(F.gelu(self.up(self.norm2(x))))


class Network(nn.Module):
    def __init__(self, layers, d, vocabulary, length):
        super().__init__()
        self.embed = nn.Embedding(vocabulary, d)
        self.blocks = nn.Sequential(*[Block(d, length) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, vocabulary, bias=False)

    def forward(self, ids):
        return self.head(self.norm(self.blocks(self.embed(ids))))


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (('layers', 4), ('width', 192), ('vocabulary', 2048), ('length', 512), ('batch', 8),
                        ('threads', 2)):
        parser.add_argument('--' + name, type=int, default=value)
    parser.add_argument('--seconds', type=int, default=10)
    parser.add_argument('--dtype', choices=['f32', 'bf16'], default='f32')
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(0)
    network = Network(o.layers, o.width, o.vocabulary, o.length)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4, fused=True)
    ids = torch.randint(0, o.vocabulary, (o.batch, o.length))

    def step():
        with torch.autocast('cpu', torch.bfloat16, enabled=o.dtype == 'bf16'):
            logits = network(ids)
        loss = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    low, median = timed(step, o.seconds)
    n = o.batch * o.length
    report(peer='torch ' + torch.__version__, work='fine-tune step', dtype=o.dtype, tokens_per_s=n / median,
           tokens_per_s_best=n / low)

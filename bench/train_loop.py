"""A small honest training on the CPU, to be watched by a recording agent: data from disk, steps, evaluations, checkpoints.

    python bench/train_loop.py --minutes 10 [--rows 40000] [--folder DIR]

A network of two layers learns to tell ten kinds of noisy patterns apart, with numpy (a development dependency). As trainings do,
it builds its data set first (a start-up that grows), reads it anew from disk each epoch, writes a checkpoint every half a minute
and keeps the processor busy in between. It ends by itself, with the accuracy it reached; exit 1 if it has learnt nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
KINDS, WIDTH, HIDDEN, BATCH = 10, 784, 256, 128
SHARDS = 8
CHECKPOINT_S = 30.0
RATE = 0.05
LEARNT = 0.5
"""A tenth is what guessing gives."""


def make_shards(folder: Path, rows: int, seed: int) -> None:
    """The data set on disk: each row a pattern of its kind under noise, the kind in the last column."""
    chance = np.random.default_rng(seed)
    patterns = chance.standard_normal((KINDS, WIDTH), dtype=np.float32)
    for number in range(SHARDS):
        kinds = chance.integers(0, KINDS, rows // SHARDS)
        noisy = patterns[kinds] + 6 * chance.standard_normal((len(kinds), WIDTH), dtype=np.float32)
        np.save(folder / f"shard-{number}.npy", np.column_stack([noisy, kinds.astype(np.float32)]))


def batches(folder: Path, chance: np.random.Generator) -> Iterator[tuple[Array, NDArray[np.int64]]]:
    """One epoch over all shards but the last, which is kept for evaluation."""
    for number in chance.permutation(SHARDS - 1):
        shard = np.load(folder / f"shard-{number}.npy")
        chance.shuffle(shard)
        for begin in range(0, len(shard) - BATCH, BATCH):
            part = shard[begin : begin + BATCH]
            yield part[:, :-1], part[:, -1].astype(np.int64)


class Network:
    """Two layers, trained by plain stochastic gradient descent."""

    def __init__(self, chance: np.random.Generator) -> None:
        self.first = chance.standard_normal((WIDTH, HIDDEN), dtype=np.float32) / np.float32(WIDTH**0.5)
        self.second = chance.standard_normal((HIDDEN, KINDS), dtype=np.float32) / np.float32(HIDDEN**0.5)

    def forward(self, rows: Array) -> tuple[Array, Array]:
        """Hidden values and shares of the kinds."""
        hidden = np.maximum(rows @ self.first, 0)
        scores = hidden @ self.second
        grown = np.exp(scores - scores.max(axis=1, keepdims=True))
        return hidden, grown / grown.sum(axis=1, keepdims=True)

    def step(self, rows: Array, kinds: NDArray[np.int64]) -> float:
        """One step down the gradient; the loss before it."""
        hidden, shares = self.forward(rows)
        right = np.arange(len(kinds))
        loss = -float(np.log(shares[right, kinds] + 1e-9).mean())
        shares[right, kinds] -= 1
        back = shares / len(kinds)
        deeper = (back @ self.second.T) * (hidden > 0)
        self.second -= RATE * (hidden.T @ back)
        self.first -= RATE * (rows.T @ deeper)
        return loss

    def accuracy(self, shard: Array) -> float:
        """Share of the rows it names right."""
        return float((self.forward(shard[:, :-1])[1].argmax(axis=1) == shard[:, -1]).mean())

    def save(self, path: Path) -> None:
        """A checkpoint, whole or not at all."""
        part = path.with_suffix(".part.npz")
        np.savez(part, first=self.first, second=self.second)
        part.rename(path)


def train(folder: Path, seconds: float, seed: int) -> float:
    """Train for so long; the accuracy reached."""
    chance = np.random.default_rng(seed)
    network, began, saved, epoch, loss = Network(chance), time.monotonic(), time.monotonic(), 0, 0.0
    while time.monotonic() - began < seconds:
        for rows, kinds in batches(folder, chance):
            loss = network.step(rows, kinds)
            if time.monotonic() - saved > CHECKPOINT_S:
                network.save(folder / "checkpoint.npz")
                saved = time.monotonic()
            if time.monotonic() - began >= seconds:
                break
        epoch += 1
        print(f"epoch {epoch}: loss {loss:.3f}, {time.monotonic() - began:.0f} s", flush=True)
    return network.accuracy(np.load(folder / f"shard-{SHARDS - 1}.npy"))


def main() -> int:
    """Make the data, train, say how well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", help="where data and checkpoints lie (default: a temporary folder)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="anfl-train-", dir=asked.folder) as made:
        make_shards(Path(made), asked.rows, asked.seed)
        reached = train(Path(made), asked.minutes * 60, asked.seed)
    print(f"accuracy {reached:.1%} of {KINDS} kinds")
    return 0 if reached > LEARNT else 1


if __name__ == "__main__":
    sys.exit(main())

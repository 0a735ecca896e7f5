"""26 families of memory series, one hour at 10 s: 15 harmless, 11 leaks. Values in MiB; times in seconds.

``altered`` draws every shape parameter from a range round its base value, and phases at random, so that a detector tuned
on the base shapes is judged on shapes it has not seen.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

STEP = 10.0
COUNT = 360
BASE = 2000.0
MINUTES = [i * STEP / 60.0 for i in range(COUNT)]

Values = list[float]


@dataclass
class Draw:
    """One draw of a family: its random source and whether shapes are altered."""

    random: random.Random
    altered: bool

    def pick(self, base: float, low: float, high: float) -> float:
        """A shape parameter."""
        return self.random.uniform(low, high) if self.altered else base

    def noise(self, base: float) -> Values:
        deviation = self.pick(base, 0.5 * base, 1.5 * base)
        return [self.random.gauss(0.0, deviation) for _ in MINUTES]

    def wander(self, base: float, memory: float = 0.9) -> Values:
        """Autoregressive noise."""
        deviation, keep = self.pick(base, 0.5 * base, 1.25 * base), self.pick(memory, 0.8, 0.95)
        out = [0.0]
        for _ in MINUTES[1:]:
            out.append(keep * out[-1] + self.random.gauss(0.0, deviation))
        return out

    def bursts(self) -> Values:
        """Requests that take memory and give it back over minutes."""
        chance, size, decay = self.pick(0.02, 0.01, 0.03), self.pick(400, 200, 600), self.pick(10, 6, 14)
        level, out = 0.0, []
        for _ in MINUTES:
            arrivals = sum(self.random.random() < chance / 4 for _ in range(4))
            level = level * math.exp(-1.0 / decay) + size * arrivals
            out.append(level)
        return out


Family = Callable[[Draw], Values]
FAMILIES: dict[str, tuple[float | None, Family]] = {}
"""Name to (nominal leak rate in MiB/min, None where harmless; the generator)."""


def family(name: str, rate: float | None = None) -> Callable[[Family], Family]:
    def add(make: Family) -> Family:
        FAMILIES[name] = (rate, make)
        return make

    return add


def _sum(*parts: Values) -> Values:
    return [BASE + sum(column) for column in zip(*parts, strict=True)]


def _of(shape: Callable[[float], float]) -> Values:
    return [shape(t) for t in MINUTES]


def _saw(d: Draw, rate: float, low: float, high: float, height: float, lowest: float, highest: float) -> Values:
    climb, size = d.pick(rate, low, high), d.pick(height, lowest, highest)
    phase = d.pick(0.0, 0.0, size)
    return _of(lambda t: (t * climb + phase) % size)


@family("flat")
def _flat(d: Draw) -> Values:
    return _sum(d.noise(2))


@family("flat, wandering noise")
def _flat_ar(d: Draw) -> Values:
    return _sum(d.wander(4))


@family("warm-up 5 min")
def _warm5(d: Draw) -> Values:
    size, tau = d.pick(800, 300, 1200), d.pick(5, 3, 9)
    return _sum(_of(lambda t: size * (1 - math.exp(-t / tau))), d.noise(3))


@family("warm-up 15 min")
def _warm15(d: Draw) -> Values:
    size, tau = d.pick(800, 300, 1200), d.pick(15, 10, 20)
    return _sum(_of(lambda t: size * (1 - math.exp(-t / tau))), d.noise(3))


@family("cache fills, then full")
def _lru(d: Draw) -> Values:
    size, rate = d.pick(600, 300, 800), d.pick(20, 15, 30)
    return _sum(_of(lambda t: min(size, t * rate)), d.noise(3))


@family("cache fills ever slower (Zipf)")
def _zipf(d: Draw) -> Values:
    size, knee = d.pick(250, 120, 350), d.pick(2, 1, 4)
    return _sum(_of(lambda t: size * math.log1p(t / knee)), d.noise(3))


@family("sawtooth, 8 min")
def _saw8(d: Draw) -> Values:
    return _sum(_saw(d, 37, 28, 50, 300, 200, 400), d.noise(3))


@family("sawtooth, 22 min")
def _saw22(d: Draw) -> Values:
    return _sum(_saw(d, 12, 9, 15, 260, 180, 320), d.noise(3))


@family("one step")
def _step(d: Draw) -> Values:
    at, size = d.random.uniform(10, 50), d.pick(300, 100, 500)
    return _sum(_of(lambda t: size * (t > at)), d.noise(3))


@family("two steps")
def _steps(d: Draw) -> Values:
    a, b = d.random.uniform(5, 25), d.random.uniform(30, 55)
    first, second = d.pick(200, 100, 300), d.pick(200, 100, 300)
    return _sum(_of(lambda t: first * (t > a) + second * (t > b)), d.noise(3))


@family("arenas until warm")
def _arenas(d: Draw) -> Values:
    end, every = d.pick(20, 15, 26), d.pick(4, 3, 6)
    return _sum(_of(lambda t: 64 * math.floor(min(t, end) / every)), d.noise(2))


@family("slow wave, 4 h")
def _diurnal(d: Draw) -> Values:
    size, hours, phase = d.pick(150, 80, 200), d.pick(4, 3, 6), d.random.uniform(0, 6)
    return _sum(_of(lambda t: size * math.sin(t / 60 * 2 * math.pi / hours + phase)), d.noise(4))


def _epochs(d: Draw, period: float) -> Values:
    size = d.pick(200, 100, 300)
    duty, phase = d.pick(0.0, -0.5, 0.5), d.pick(0.0, 0.0, period)
    return _of(lambda t: size * (math.sin((t + phase) / period * 2 * math.pi) > duty))


@family("epochs")
def _epoch(d: Draw) -> Values:
    return _sum(_epochs(d, d.pick(7, 4, 10)), d.noise(4))


@family("bursts")
def _bursty(d: Draw) -> Values:
    return _sum(d.bursts(), d.noise(4))


@family("random walk")
def _walk(d: Draw) -> Values:
    deviation, level, out = d.pick(2, 1, 3), 0.0, []
    for _ in MINUTES:
        level += d.random.gauss(0.0, deviation)
        out.append(level)
    return _sum(out)


def _leak(d: Draw, rate: float, low: float, high: float) -> Values:
    grows = d.pick(rate, low, high)
    return _of(lambda t: grows * t)


@family("leak 0.5/min", 0.5)
def _leak_half(d: Draw) -> Values:
    return _sum(_leak(d, 0.5, 0.4, 0.8), d.noise(2))


@family("leak 2/min", 2)
def _leak_two(d: Draw) -> Values:
    return _sum(_leak(d, 2, 1, 3), d.noise(4))


@family("leak 10/min", 10)
def _leak_ten(d: Draw) -> Values:
    return _sum(_leak(d, 10, 5, 20), d.noise(6))


@family("leak 2/min, wandering noise", 2)
def _leak_ar(d: Draw) -> Values:
    return _sum(_leak(d, 2, 1.5, 3), d.wander(4))


@family("leak 5/min under sawtooth", 5)
def _leak_saw(d: Draw) -> Values:
    return _sum(_leak(d, 5, 3, 8), _saw(d, 37, 28, 50, 300, 200, 400), d.noise(3))


@family("leak 5/min after warm-up", 5)
def _leak_warm(d: Draw) -> Values:
    size, tau = d.pick(500, 200, 700), d.pick(5, 3, 8)
    return _sum(_leak(d, 5, 3, 8), _of(lambda t: size * (1 - math.exp(-t / tau))), d.noise(3))


@family("leak by 64 MiB arenas", 10)
def _leak_arena(d: Draw) -> Values:
    every, phase = d.pick(6, 3, 8), d.pick(0, 0, 3)
    return _sum(_of(lambda t: 64 * math.floor((t + phase) / every)), d.noise(2))


@family("leak per epoch", 5.7)
def _leak_epoch(d: Draw) -> Values:
    period, size = d.pick(7, 4, 9), d.pick(40, 20, 60)
    return _sum(_of(lambda t: size * math.floor(t / period)), _epochs(d, period), d.noise(4))


@family("leak starts late", 8)
def _leak_late(d: Draw) -> Values:
    rate, start = d.pick(8, 4, 12), d.pick(20, 10, 28)
    return _sum(_of(lambda t: rate * max(0.0, t - start)), d.noise(4))


@family("leak 5/min under bursts", 5)
def _leak_burst(d: Draw) -> Values:
    return _sum(_leak(d, 5, 3, 8), d.bursts(), d.noise(4))


@family("leak grows faster", 9)
def _leak_accel(d: Draw) -> Values:
    bend = d.pick(0.15, 0.08, 0.3)
    return _sum(_of(lambda t: bend * t * t), d.noise(4))

"""What the programs learn from, as numpy arrays: the data sets in the folder `TINYTORCH_DATA` where there is one, and
made-up data of the same shapes where not, or where a size is asked for that they do not have."""

import functools
import math
import os

import numpy as np

import tinytorch

SEED_TEXT = "the quick brown fox jumps over the lazy dog while seven wizards quietly box a frozen jug of good wine. "


def _floats(array):
    return np.ascontiguousarray(array, np.float32)


def normal(rng, *shape):
    return _floats(rng.normal(size=shape))


@functools.cache
def _stored(kind):
    """A data set that is there, or None."""
    return getattr(tinytorch, kind)() if os.environ.get("TINYTORCH_DATA") else None


def _rows(dataset, count, rng):
    chosen = rng.integers(0, len(dataset), count)
    images, labels = (t.numpy() for t in dataset[chosen])
    return _floats(images), labels.astype(np.int64)


def _waves(count, channels, side, labels, rng):
    """Pictures in [0, 1] of stripes, whose direction is the class."""
    y, x = np.mgrid[:side, :side] / side
    angle, phase = labels * math.pi / 10, rng.uniform(0, 6, (count, channels))
    along = np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y
    waves = np.sin(12 * along[:, None] + phase[:, :, None, None])
    return _floats(np.clip(0.5 + 0.4 * waves + 0.05 * rng.normal(size=waves.shape), 0, 1))


def digits(count, rng):
    """Images f32[count, 1, 28, 28] in [0, 1], and labels i64[count]."""
    if (stored := _stored("MNIST")) is not None:
        images, labels = _rows(stored, count, rng)
        return images.reshape(count, 1, 28, 28), labels
    labels = rng.integers(0, 10, count)
    return _waves(count, 1, 28, labels, rng), labels


def pictures(count, side, rng):
    """Images f32[count, 3, side, side] in [-1, 1], and labels i64[count]."""
    if side == 32 and (stored := _stored("CIFAR10")) is not None:
        images, labels = _rows(stored, count, rng)
        return images, labels
    labels = rng.integers(0, 10, count)
    return 2 * _waves(count, 3, side, labels, rng) - 1, labels


def masks(count, side, rng):
    """Images f32[count, 3, side, side] with a disk in each, and which pixels f32[count, side, side] it covers."""
    y, x = np.mgrid[:side, :side] / side
    middle, radius = rng.uniform(0.3, 0.7, (2, count, 1, 1)), rng.uniform(0.1, 0.3, (count, 1, 1))
    inside = (x - middle[0]) ** 2 + (y - middle[1]) ** 2 < radius**2
    colour = rng.uniform(0, 1, (count, 3, 1, 1))
    return _floats(inside[:, None] * colour + 0.2 * rng.normal(size=(count, 3, side, side))), _floats(inside)


def small_and_large(count, side, factor, rng):
    """Pictures f32[count, 1, side, side], and what they were before `factor` by `factor` pixels were averaged."""
    large = _waves(count, 1, side * factor, rng.integers(0, 10, count), rng)
    return _floats(large.reshape(count, 1, side, factor, side, factor).mean((3, 5))), large


@functools.cache
def text():
    """Characters below 128, i64."""
    if (stored := _stored("TinyShakespeare")) is not None:
        written = stored.train
    else:
        written = SEED_TEXT * 40
    return np.frombuffer(written.encode("ascii", "replace"), np.uint8).astype(np.int64)


@functools.cache
def words():
    """Words by number, i64, and what they are."""
    listed = bytes(text().astype(np.uint8)).decode().lower().split()[:20000]
    known = sorted(set(listed))
    places = {word: i for i, word in enumerate(known)}
    return np.array([places[word] for word in listed]), known


def windows(numbers, batch, length, rng):
    """Pieces i64[batch, length], and the same one further."""
    starts = rng.integers(0, len(numbers) - length - 1, batch)
    pieces = np.stack([numbers[start : start + length + 1] for start in starts])
    return pieces[:, :-1].copy(), pieces[:, 1:].copy()


def columns(numbers, count):
    """All numbers in `count` rows that go on from left to right."""
    return numbers[: len(numbers) // count * count].reshape(count, -1)


def cart_pole(state, action):
    """A step of 0.02 s of a pole on a cart that is pushed to the left or to the right (Barto, Sutton & Anderson 1983):
    the next state (position, speed, angle, speed of the angle), a reward of 1, and whether it fell."""
    x, speed, angle, turning = state
    force = 10.0 if action else -10.0
    push = (force + 0.05 * turning**2 * math.sin(angle)) / 1.1
    pull = 9.8 * math.sin(angle) - math.cos(angle) * push
    faster = pull / (0.5 * (4 / 3 - 0.1 * math.cos(angle) ** 2 / 1.1))
    moved = push - 0.05 * faster * math.cos(angle) / 1.1
    after = [x + 0.02 * speed, speed + 0.02 * moved, angle + 0.02 * turning, turning + 0.02 * faster]
    return after, 1.0, abs(after[0]) > 2.4 or abs(after[2]) > 12 * math.pi / 180


def discounted(rewards, gamma):
    """What is still to come after each step, around its mean, in units of its deviation."""
    returns, total = [], 0.0
    for reward in reversed(rewards):
        total = reward + gamma * total
        returns.insert(0, total)
    values = np.array(returns)
    return ((values - values.mean()) / (values.std() + 1e-6)).tolist()

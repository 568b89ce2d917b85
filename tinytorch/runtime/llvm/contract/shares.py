"""How work is cut so that threads end together."""

from __future__ import annotations


def share(size: int, parts: int, least: int, unit: int) -> int:
    """`size` cut into up to `parts` multiples of `unit`, each about `least` or more, so that few threads end together.

    Two threads come first, to within 5 %, then four and eight: the cut must not depend on how many there are.
    """
    counts = range(1, max(1, min(parts, size // least)) + 1)
    shares = {min(size, -(-size // count // unit) * unit) for count in counts}
    return min(sorted(shares, reverse=True), key=lambda s: (round(20 * makespan(size, s, 2)), *_of_more(size, s)))


def _of_more(size: int, share: int) -> tuple[float, float]:
    return makespan(size, share, 4), makespan(size, share, 8)


def makespan(size: int, share: int, threads: int) -> float:
    """How long `threads` take over pieces of `share`, the last one smaller, against an even split."""
    full, rest = divmod(size, share)
    rounds, last = divmod(full + (rest > 0), threads)
    time = rounds * share if last == 0 else rounds * share + (rest if last == 1 and rest else share)
    return time * threads / size


def two_threads(height: int, width: int, batches: int, item: tuple[int, int]) -> float:
    """How long two threads take over results of this height and width, cut into items of some rows and columns, which
    they claim in order, against an even split."""
    heights, widths = (
        [min(part, n - at) for at in range(0, n, part)] for n, part in zip((height, width), item, strict=True)
    )
    busy = [0, 0]
    for size in [rows * columns for rows in heights for columns in widths] * batches:
        busy[busy.index(min(busy))] += size
    return 2 * max(busy) / sum(busy)

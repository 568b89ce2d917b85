"""What two texts have in common, line by line."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

_EDITS = 1000  # lines that may differ for the exact search
_FEW = 4000  # lines of both texts up to which `difflib` looks at all, also at those that come often


def common_lines(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """The places of a longest list of lines that stands in order in both texts.

    By the greedy search of Myers ("An O(ND) difference algorithm and its variations", 1986), whose work is the square
    of the number of lines that differ; lines may come often, as those of alike layers do. Where more than a thousand
    differ, the list is that of `difflib`, which may be shorter.
    """
    numbers: dict[str, int] = {}
    one, two = ([numbers.setdefault(line, len(numbers)) for line in lines] for lines in (a, b))
    furthest = _search(one, two)
    if furthest is not None:
        return _walked_back(furthest, len(a), len(b))
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=len(a) + len(b) > _FEW)
    return [(i + n, j + n) for i, j, size in matcher.get_matching_blocks() for n in range(size)]


def _search(a: Sequence[int], b: Sequence[int]) -> list[list[int]] | None:
    """How far along `a` paths get with 0, 1, … edits, until one reaches the end of both; None where that takes too
    many. A row has the diagonals -n, -n + 2, …, n that n edits lead to: the place in `a` minus that in `b`."""
    furthest: list[list[int]] = []
    for edits in range(_EDITS + 1):
        row: list[int] = []
        furthest.append(row)
        for diagonal in range(-edits, edits + 1, 2):
            x = _edit(furthest[-2], diagonal, edits)[0] if edits else 0
            while x < len(a) and x - diagonal < len(b) and a[x] == b[x - diagonal]:
                x += 1
            row.append(x)
            if x == len(a) and x - diagonal == len(b):
                return furthest
    return None


def _edit(row: Sequence[int], diagonal: int, edits: int) -> tuple[int, bool]:
    """Where the edit that leads to a diagonal ends, and whether it takes a line of `b`; `row` is that of one less."""
    at = (diagonal + edits) // 2
    if at == 0 or (at < edits and row[at - 1] < row[at]):
        return row[at], True
    return row[at - 1] + 1, False


def _walked_back(furthest: Sequence[Sequence[int]], x: int, y: int) -> list[tuple[int, int]]:
    """The lines on the path that ends at x and y."""
    found: list[tuple[int, int]] = []
    for edits in range(len(furthest) - 1, -1, -1):
        begin, takes_b = _edit(furthest[edits - 1], x - y, edits) if edits else (0, True)
        while x > begin:
            x, y = x - 1, y - 1
            found.append((x, y))
        x, y = (x, y - 1) if takes_b else (x - 1, y)
    return found[::-1]

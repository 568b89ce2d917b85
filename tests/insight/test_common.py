"""What two texts have in common: as much as can be, in order, also where lines come often."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytorch.insight import common
from tinytorch.insight.common import common_lines


def longest(a: Sequence[str], b: Sequence[str]) -> int:
    """By the table of all beginnings."""
    row = [0] * (len(b) + 1)
    for x in a:
        before = row
        row = [0]
        for j, y in enumerate(b):
            row.append(before[j] + 1 if x == y else max(before[j + 1], row[j]))
    return row[-1]


@settings(max_examples=200, deadline=None)
@given(st.text("abc", max_size=12), st.text("abcd", max_size=12))
def test_it_is_a_longest_one_in_order(a: str, b: str) -> None:
    found = common_lines(a, b)
    assert all(a[i] == b[j] for i, j in found) and len(found) == longest(a, b)
    assert all(i < k and j < m for (i, j), (k, m) in pairwise(found))


def test_of_many_alike_layers_only_what_differs_is_told() -> None:
    layers = [f"line {i}" for i in range(20)] * 100
    changed = [line for i, line in enumerate(layers) if i % 77]
    assert len(common_lines(layers, changed)) == len(changed)
    assert len(common_lines(layers, layers)) == len(layers)


def test_texts_that_differ_throughout_have_something_in_common_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "_EDITS", 3)
    assert common_lines("abcdefg", "xaybzcw") == [(0, 1), (1, 3), (2, 5)]
    assert common_lines("", "abcd") == []

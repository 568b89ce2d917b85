"""What notebooks show of tensors and modules."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

import tinytorch as tt


class _Checked(HTMLParser):
    """Collects the text of a page, and that tags are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def shown(value: tt.Tensor | tt.Module) -> str:
    page = value._repr_html_()
    assert page is not None
    return " ".join(" ".join(_Checked(page).text).split())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (tt.Tensor([[1.0, -2.5]]), "f32[1,2] from -2.5 to 1 1 -2.5"),
        (tt.Tensor(3), "i64[] of 3 3"),
        (tt.zeros(0, 3), "f32[0,3]"),
        (tt.Tensor([True, False]), "bool[2], 1 True True False"),
        (tt.Tensor([np.nan, np.inf, 1.0]), "f32[3] from 1 to 1, 1 infinite, 1 NaN nan inf 1"),
        (tt.ones(1, dtype=tt.bf16, requires_grad=True), "bf16[1] of 1 · requires_grad=True 1"),
        (tt.arange(8).reshape(2, 2, 2), "i64[2,2,2] from 0 to 7 the matrix at [0]: 0 1 2 3"),
    ],
)
def test_tensors_show_type_range_and_numbers(value: tt.Tensor, text: str) -> None:
    assert shown(value) == text


def test_of_large_tensors_both_ends_are_shown() -> None:
    text = shown(tt.arange(20 * 30).reshape(20, 30))
    assert text.count("…") == 8 + 11  # one in each row, and a row of them
    assert "570 571" in text and "598 599" in text and " 9 " not in text


def test_shades_follow_sign_and_size() -> None:
    page = tt.Tensor([4.0, -2.0, 0.0])._repr_html_()
    assert page is not None
    assert re.findall(r"rgba\(([\d,.]+)\)", page) == ["214,96,77,0.60", "67,147,195,0.30"]


def test_modules_show_their_tree_and_escape_names() -> None:
    class Odd(tt.Module):
        def extra_repr(self) -> str:
            return "a < b"

    model = tt.Sequential(tt.Linear(3, 4), tt.ReLU(), Odd())
    model[0].weight.requires_grad = False
    text = shown(model)
    assert text.startswith("Sequential 16 parameters 0 Linear(in_features=3, out_features=4, bias=True) 16 parameters")
    assert "weight: f32[4,3], frozen" in text and "bias: f32[4]" in text
    page = model._repr_html_()
    assert page is not None and "a &lt; b" in page


def test_traced_tensors_and_compiled_modules_leave_it_to_others() -> None:
    def look(x: tt.Tensor) -> tt.Tensor:
        y = x * 2.0
        assert y._repr_html_() is None
        return y

    assert tt.compile(look)(tt.ones(2)).tolist() == [2, 2]
    compiled = tt.compile(tt.Linear(2, 2))
    assert "has not been called yet" in (compiled._repr_html_() or "")
    compiled(tt.ones(1, 2))
    assert compiled._repr_html_() is None  # it is drawn

"""Sums of products in index notation, as permutations and one matrix product per pair of operands."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tinytorch.frontend.functions.manipulation.diagonals import diagonal
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.autocasting import low
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc

__all__ = ["einsum"]

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_Term = tuple[str, ...]  # a letter for each axis; numbers stand for axes that "..." covers


@low
def einsum(*args: Any) -> Tensor:
    """`einsum("bij,bjk->bik", a, b)`: products of the operands, summed over the letters that the result lacks.

    Without `->`, the result has what `...` covers and the letters that occur once, in alphabetical order (capitals
    first). `...` stands for any number of axes, which broadcast. A letter twice in one operand means its diagonal; an
    axis of size 1 meets any other. Operands, which may also be given as a list, are joined from left to right. Or
    `einsum(a, [0, 1], b, [1, 2], [0, 2])`, with numbers for letters.
    """
    equation, operands = _arguments(args)
    terms, output = _parse(equation, [require_tensor("einsum", x) for x in operands])
    tensors = list(operands)
    for i, term in enumerate(terms):
        terms[i], tensors[i] = _without_repeats(equation, term, tensors[i])
    _spread(equation, terms, tensors)
    term, total = terms[0], tensors[0]
    for i in range(1, len(terms)):
        needed = (*output, *(letter for later in terms[i + 1 :] for letter in later))
        term, total = _join(term, total, terms[i], tensors[i], needed)
    term, total = _drop(term, total, set(output))
    return total.permute([term.index(letter) for letter in output])


def _arguments(args: tuple[Any, ...]) -> tuple[str, Sequence[Any]]:
    """The equation in letters, and the operands."""
    if args and isinstance(args[0], str):
        listed = len(args) == 2 and isinstance(args[1], (list, tuple))
        operands: Sequence[Any] = args[1] if listed else args[1:]
        if not operands:
            raise ShapeError("einsum: needs at least one operand", user_loc())
        return args[0], operands
    if len(args) < 2:
        raise ShapeError("einsum: needs an equation and operands, or operands with lists of axes", user_loc())
    pairs = len(args) // 2
    written = [_written(args[2 * i + 1]) for i in range(pairs)]
    arrow = f"->{_written(args[-1])}" if len(args) % 2 else ""
    return ",".join(written) + arrow, args[: 2 * pairs : 2]


def _written(axes: Any) -> str:
    if not isinstance(axes, (list, tuple)):
        raise ShapeError(f"einsum: the axes of an operand are a list of numbers, got {axes!r}", user_loc())
    for i in axes:
        if i is not Ellipsis and (isinstance(i, bool) or not isinstance(i, int) or not 0 <= i < len(_LETTERS)):
            raise ShapeError(f"einsum: axes are numbers from 0 to {len(_LETTERS) - 1} or ..., got {i!r}", user_loc())
    return "".join("..." if i is Ellipsis else _LETTERS[i] for i in axes)


def _parse(equation: str, tensors: Sequence[Tensor]) -> tuple[list[_Term], _Term]:
    """The letters of each operand and of the result."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    written = left.split(",")
    if len(written) != len(tensors):
        raise ShapeError(f"einsum: {equation!r} has {len(written)} operands, got {len(tensors)}", user_loc())
    terms: list[_Term] = []
    for text, tensor in zip(written, tensors, strict=True):
        covered = tensor.ndim - len(text.replace("...", "", 1))
        if covered < 0 or (covered and "..." not in text):
            raise ShapeError(f"einsum: {text!r} in {equation!r} does not fit {tensor.type}", user_loc())
        terms.append(_letters(equation, text, covered))
    widest = max(sum(not x.isalpha() for x in term) for term in terms)
    counts = Counter(x for term in terms for x in term)
    if arrow:
        output = _letters(equation, right, widest)
        if len(set(output)) != len(output):
            raise ShapeError(f"einsum: the result of {equation!r} has a letter twice", user_loc())
    else:
        once = sorted(x for x, n in counts.items() if n == 1 and x.isalpha())
        output = (*(str(i) for i in reversed(range(widest))), *once)
    if not set(output) <= set(counts):
        raise ShapeError(f"einsum: the result of {equation!r} has a letter that no operand has", user_loc())
    return terms, output


def _letters(equation: str, text: str, covered: int) -> _Term:
    """A term with `...` as the numbers of so many axes, counted from the last."""
    before, dots, after = text.partition("...")
    if not all(x.isascii() and x.isalpha() for x in before + after):
        raise ShapeError(f"einsum: {text!r} in {equation!r} is not a row of letters, perhaps with ...", user_loc())
    return (*before, *(str(i) for i in reversed(range(covered if dots else 0))), *after)


def _without_repeats(equation: str, term: _Term, x: Tensor) -> tuple[_Term, Tensor]:
    """Diagonals instead of letters that occur twice."""
    while (again := next((i for i, letter in enumerate(term) if letter in term[:i]), None)) is not None:
        first = term.index(term[again])
        if x.shape[first] != x.shape[again]:
            raise ShapeError(
                f"einsum: {term[again]!r} in {equation!r} is {x.shape[first]} and {x.shape[again]}", user_loc()
            )
        x = diagonal(x, 0, first, again)
        term = (*(letter for i, letter in enumerate(term) if i not in (first, again)), term[again])
    return term, x


def _spread(equation: str, terms: list[_Term], tensors: list[Tensor]) -> None:
    """Axes of size 1 as large as the others of their letter: dropped where they are only to be multiplied."""
    sizes: dict[str, int] = {}
    for term, tensor in zip(terms, tensors, strict=True):
        for letter, size in zip(term, tensor.shape, strict=True):
            known = sizes.setdefault(letter, size)
            if 1 not in (known, size) and known != size:
                raise ShapeError(f"einsum: {letter!r} in {equation!r} is {known} and {size}", user_loc())
            sizes[letter] = size if known == 1 else known
    for i, (term, tensor) in enumerate(zip(terms, tensors, strict=True)):
        single = [axis for axis, letter in enumerate(term) if tensor.shape[axis] == 1 != sizes[letter]]
        if single:
            kept = [axis for axis in range(len(term)) if axis not in single]
            terms[i] = tuple(term[axis] for axis in kept)
            tensors[i] = tensor.reshape([tensor.shape[axis] for axis in kept])


def _join(a_term: _Term, a: Tensor, b_term: _Term, b: Tensor, needed: _Term) -> tuple[_Term, Tensor]:
    """One product of two operands, summed over the letters that nothing else needs. Where none is summed over, the
    elements are multiplied, in the order of the letters that are needed."""
    a_term, a = _drop(a_term, a, {*needed, *b_term})
    b_term, b = _drop(b_term, b, {*needed, *a_term})
    batch = [x for x in a_term if x in b_term and x in needed]
    inner = [x for x in a_term if x in b_term and x not in needed]
    if not inner:
        term = tuple(x for x in dict.fromkeys(needed) if x in a_term or x in b_term)
        return term, _spread_to(term, a_term, a) * _spread_to(term, b_term, b)
    rows = [x for x in a_term if x not in b_term]
    columns = [x for x in b_term if x not in a_term]
    if rows and columns and needed.index(columns[0]) < needed.index(rows[0]):
        a_term, a, rows, b_term, b, columns = b_term, b, columns, a_term, a, rows
    left = _grouped(a_term, a, batch, rows, inner)
    right = _grouped(b_term, b, batch, inner, columns)
    size = dict(zip(a_term + b_term, a.shape + b.shape, strict=True))
    term = (*batch, *rows, *columns)
    return term, left.matmul(right).reshape([size[letter] for letter in term])


def _spread_to(whole: _Term, term: _Term, x: Tensor) -> Tensor:
    """x with the letters of `whole`, in their order; axes of size 1 for those that it lacks."""
    ordered = x.permute([term.index(letter) for letter in whole if letter in term])
    size = dict(zip(term, x.shape, strict=True))
    return ordered.reshape([size.get(letter, 1) for letter in whole])


def _drop(term: _Term, x: Tensor, kept: set[str]) -> tuple[_Term, Tensor]:
    """Letters that only this operand has are summed at once."""
    axes = tuple(i for i, letter in enumerate(term) if letter not in kept)
    return tuple(letter for letter in term if letter in kept), x.sum(axes) if axes else x


def _grouped(term: _Term, x: Tensor, batch: list[str], rows: list[str], columns: list[str]) -> Tensor:
    """[batch…, rows, columns], each group of letters in one axis but for the batch."""
    size = dict(zip(term, x.shape, strict=True))
    shape = [*(size[i] for i in batch), *(math.prod(size[i] for i in group) for group in (rows, columns))]
    return x.permute([term.index(letter) for letter in (*batch, *rows, *columns)]).reshape(shape)

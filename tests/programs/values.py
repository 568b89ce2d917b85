"""Statements that make a value of others."""

from __future__ import annotations

import math

from tests.programs.draft import Draft, Shape, Storage, Var


def elementwise(d: Draft) -> None:
    x = d.some(lambda v: v.dtype != "bool")
    if x is None:
        return
    if d.maybe():
        _unary(d, x)
        return
    y = d.partner(x) if d.maybe() else None
    other = y.name if y else _number(d, x)
    op = d.one(["+", "*", "-"])
    left, right = (other, x.name) if d.maybe() else (x.name, other)
    known = {} if y is None else {"grad": (x.grad or y.grad) and not d.no_grad, "exact": x.exact and y.exact}
    d.new(f"{left} {op} {right}", x, **known)


def _number(d: Draft, x: Var) -> str:
    if x.is_float and d.rarely("python_number"):
        return "k"
    if x.is_float and d.rarely("module_number"):
        return "m.scale"
    return d.number(x.dtype)


def _unary(d: Draft, x: Var) -> None:
    exact = ["{} * 1", "-{}", "{}.clone()", "{}.abs()"]
    floats = ["{}.relu()", "{}.square()", "{}.tanh()", "{}.sigmoid()", "{}.sin()"]
    text = d.one([*exact, *floats] if x.is_float else exact)
    d.new(text.format(x.name), x, exact=x.exact and text not in floats[2:])


def reduce(d: Draft) -> None:
    x = d.some(lambda v: v.is_float)
    if x is None:
        return
    choices: list[tuple[str, Shape, bool]] = [("sum()", (), True), ("mean()", (), False)]
    if x.shape:
        choices += [
            ("sum(0)", x.shape[1:], True),
            ("sum(-1, keepdim=True)", (*x.shape[:-1], 1), True),
            ("mean(-1)", x.shape[:-1], False),
            ("amax(0)", x.shape[1:], True),
            ("softmax(-1)", x.shape, False),
        ]
    text, shape, exact = d.one(choices)
    d.new(f"{x.name}.{text}", x, shape, exact=x.exact and exact)


def pool(d: Draft) -> None:
    """What is largest of neighbours, and where: of exact values, so that all agree which it is."""
    x = d.some(lambda v: v.is_float and v.exact and v.size > 1)
    if x is not None:
        row = f"{x.name}.reshape(1, 1, {x.size})"
        d.pair(f"tt.max_pool1d({row}, 2, 1, return_indices=True)", x, (1, 1, x.size - 1))


def matmul(d: Draft) -> None:
    x = d.some(lambda v: v.is_float and len(v.shape) == 2)
    if x is None:
        return
    y = d.some(lambda v: v.dtype == x.dtype and 0 < len(v.shape) < 3 and v.shape[0] == x.shape[1])
    if y is None or d.rarely():
        d.new(f"{x.name} @ {x.name}.mT", x, (x.shape[0], x.shape[0]))
    else:
        grad = (x.grad or y.grad) and not d.no_grad
        d.new(f"{x.name} @ {y.name}", x, (x.shape[0], *y.shape[1:]), grad=grad, exact=x.exact and y.exact)


def views(d: Draft) -> None:
    x = d.some()
    if x is None:
        return
    choices = _views_of(x, "flip" in d.on)
    # A view of a leaf under no_grad says in PyTorch that it requires grad, and has no gradient.
    text, shape, known = choices[0] if d.no_grad and x.grad else d.one(choices)
    known = {
        "view": True,
        "storage": x.storage,
        "detached": x.detached,
        "spread": x.spread,
        "contiguous": False,
    } | known
    d.new(f"{x.name}{text}", x, shape, **known)


def _views_of(x: Var, flip: bool) -> list[tuple[str, Shape, dict[str, object]]]:
    """(text behind the name, shape, what else is known of it)."""
    s, same = x.shape, {"contiguous": x.contiguous}
    own = {"view": False} if x.contiguous else {"view": False, "storage": Storage()}
    flat = {**own, "view": x.contiguous, "contiguous": True, "itself": x.itself and len(s) == 1}
    found: list[tuple[str, Shape, dict[str, object]]] = [
        (".detach()", s, {"grad": False, "detached": True, **same}),
        ("[None]", (1, *s), same),
        (".unsqueeze(-1)", (*s, 1), same),
        (".reshape(-1)", (x.size,), flat),
        (f".expand(2, {', '.join(map(str, s))})" if s else ".expand(2)", (2, *s), {"spread": True}),
    ]
    if s and s[0] > 1:
        found += [
            ("[0]", s[1:], same),
            ("[-1]", s[1:], same),
            ("[1:]", (s[0] - 1, *s[1:]), same),
            ("[:-1]", (s[0] - 1, *s[1:]), same),
            ("[::2]", (math.ceil(s[0] / 2), *s[1:]), {}),
        ]
        found += [(".flip(0)", s, {})] if flip else []
    if len(s) > 1:
        found += [
            ("[..., 0]", s[:-1], {}),
            ("[:, 1:]", (s[0], s[1] - 1, *s[2:]), {}),
            (".T" if len(s) == 2 else ".mT", (*s[:-2], s[-1], s[-2]), {}),
            (".transpose(0, 1)", (s[1], s[0], *s[2:]), {}),
            (f".permute({', '.join(map(str, [*range(1, len(s)), 0]))})", (*s[1:], s[0]), {}),
        ]
    return [each for each in found if 0 not in each[1] and len(each[1]) <= 3]


def gather(d: Draft) -> None:
    x = d.some(lambda v: bool(v.shape) and v.shape[0] > 1)
    if x is None:
        return
    last = x.shape[0] - 1
    text, count = d.one([(f"[[0, {last}]]", 2), (f"[[{last}, 0, {last}]]", 3), ("[tt.tensor([0])]", 1)])
    d.new(f"{x.name}{text}", x, (count, *x.shape[1:]))


def where(d: Draft) -> None:
    x = d.some(lambda v: v.is_float and v.exact)
    if x is None:
        return
    y = d.partner(x)
    if y is None or y.shape != x.shape or d.maybe():
        d.new(f"tt.where({x.name} > 0, {x.name}, {x.name} * 0.5)", x)
    else:
        grad = (x.grad or y.grad) and not d.no_grad
        d.new(f"tt.where({x.name} > 0.5, {x.name}, {y.name})", x, grad=grad, exact=y.exact)


def join(d: Draft) -> None:
    x = d.some(lambda v: v.is_float and 0 < len(v.shape) < 3)
    if x is None:
        return
    y = d.some(lambda v: v.dtype == x.dtype and v.shape == x.shape) or x
    known = {"grad": (x.grad or y.grad) and not d.no_grad, "exact": x.exact and y.exact}
    if d.maybe():
        d.new(f"tt.cat([{x.name}, {y.name}])", x, (2 * x.shape[0], *x.shape[1:]), **known)
    else:
        d.new(f"tt.stack([{x.name}, {y.name}])", x, (2, *x.shape), **known)


def cast(d: Draft) -> None:
    x = d.some(lambda v: v.is_float)
    if x is None:
        return
    dtype = d.one(["f32", "f64"]) if x.exact else "f32"  # f64 of what is exact only to f32 would be compared too well
    if dtype == x.dtype:  # the tensor itself
        known = {
            "itself": x.itself,
            "storage": x.storage,
            "view": x.view,
            "leaf": x.leaf,
            "contiguous": x.contiguous,
            "grad": x.grad,
        }
        d.new(f"{x.name}.to(tt.{dtype})", x, detached=x.detached, **known)
    else:
        d.new(f"{x.name}.to(tt.{dtype})", x, dtype=dtype, exact=dtype == "f64")


def module_call(d: Draft) -> None:
    x = d.some(lambda v: v.dtype == "f32" and v.shape[-1:] == (3,))
    if x is not None:
        d.new(f"m({x.name})", x, grad=not d.no_grad, exact=False)

"""Statements that change tensors in place."""

from __future__ import annotations

from collections.abc import Callable

from tests.programs.draft import Draft, Storage, Var, fits


def write(d: Draft) -> None:
    """A change in place, in a block without gradients where the target asks for that."""
    target = _target(d, lambda v: v.dtype != "bool")
    if target is None:
        return
    apart = (target.leaf and not d.rarely("leaf_write")) or (target.grad and not d.maybe("grad_write"))
    if apart and not d.no_grad:
        with d.without_gradients():
            _change(d, target)
    else:
        _change(d, target)


def detached_write(d: Draft) -> None:
    """`x.detach().mul_(2)`"""
    x = _target(d, lambda v: v.is_float)
    if x is not None:
        if x.leaf:
            d.leaf_changed()
        d.line(f"{x.name}.detach().{d.one(['mul_', 'add_', 'fill_'])}({d.number(x.dtype)})")


def _target(d: Draft, keep: Callable[[Var], bool]) -> Var | None:
    """A variable to be changed; rarely one of which some elements are one in memory, which is refused."""
    target = d.some(lambda v: keep(v) and _may_change(d, v))
    refused = target is not None and target.spread and not d.rarely()
    return d.some(lambda v: keep(v) and _may_change(d, v) and not v.spread) if refused else target


def _may_change(d: Draft, v: Var) -> bool:
    return (
        ("view_write" in d.on or not (v.view or _is_viewed(d, v)))
        and ("detach_write" in d.on or not v.detached)
        and ("argument_write" in d.on or not v.storage.argument)
        and ("captured_write" in d.on or not v.storage.outside or v.storage.argument)
        and ("grad_write" in d.on or not v.grad or v.leaf)
    )


def _is_viewed(d: Draft, v: Var) -> bool:
    """Whether another variable, or a result that is kept, is a view of its memory. Arguments may be one tensor."""
    return any(
        (o.view or o.detached) and (o.storage is v.storage or (o.storage.outside and v.storage.outside))
        for o in (*d.variables, *d.spent)
    )


def _change(d: Draft, t: Var) -> None:
    forms: list[tuple[str, Callable[[Draft, Var], None]]] = [
        ("write", _method),
        ("write", _fill),
        ("operators", _operator),
        ("item_write", _item),
        ("item_operators", _item_operator),
        ("index_write", _indexed),
        ("mask_write", _masked),
    ]
    if t.leaf:
        d.leaf_changed()
    usable = [form for feature, form in forms if feature in d.on]
    if usable:
        d.one(usable)(d, t)


def _method(d: Draft, t: Var) -> None:
    method = d.one(["add_", "mul_", "sub_", "copy_"])
    if t.is_float and d.rarely("divide_write"):
        d.line(f"{t.name}.div_(2.0)")
    else:
        d.line(f"{t.name}.{method}({_value(d, t, t.shape)})")


def _fill(d: Draft, t: Var) -> None:
    d.line(f"{t.name}.zero_()" if d.maybe() else f"{t.name}.fill_({d.number(t.dtype)})")


def _operator(d: Draft, t: Var) -> None:
    if t.storage.outside and not t.storage.argument and not t.name.startswith("v"):  # no variable of the function
        _method(d, t)
    elif t.is_float and d.rarely():
        d.line(f"{t.name} /= 2.0")
    else:
        d.line(f"{t.name} {d.one(['+=', '*=', '-='])} {_value(d, t, t.shape)}")


def _place(d: Draft, t: Var) -> tuple[str, tuple[int, ...]]:
    """An index and the shape that it selects."""
    s = t.shape
    places: list[tuple[str, tuple[int, ...]]] = [("...", s)]
    if s and s[0] > 1:
        places += [("0", s[1:]), ("-1", s[1:]), ("1:", (s[0] - 1, *s[1:])), ("::2", ((s[0] + 1) // 2, *s[1:]))]
    if len(s) > 1:
        places += [(":, 0", (s[0], *s[2:])), ("..., -1", s[:-1])]
        places += [("0, 1:", (s[1] - 1, *s[2:]))] if s[1] > 1 else []
    return d.one(places)


def _item(d: Draft, t: Var) -> None:
    index, shape = _place(d, t)
    d.line(f"{t.name}[{index}] = {_value(d, t, shape)}")


def _item_operator(d: Draft, t: Var) -> None:
    index, shape = _place(d, t)
    d.line(f"{t.name}[{index}] {d.one(['+=', '*=', '-='])} {_value(d, t, shape)}")


def _indexed(d: Draft, t: Var) -> None:
    if not t.shape or t.shape[0] < 2:
        return
    index = d.one([f"[0, {t.shape[0] - 1}]", "[1]", "tt.tensor([1, 0])"])
    count = 1 if index == "[1]" else 2
    d.line(f"{t.name}[{index}] = {_value(d, t, (count, *t.shape[1:]))}")


def _masked(d: Draft, t: Var) -> None:
    if t.exact and (t.shape or "scalar_mask_write" in d.on):
        value = "k" if t.is_float and d.rarely("python_number") else d.number(t.dtype)
        d.line(f"{t.name}[{t.name} > 0] = {value}")


def _value(d: Draft, t: Var, shape: tuple[int, ...]) -> str:
    """What is written into a place of that shape of `t`: a number, or a tensor that fits."""
    recorded = not d.no_grad

    def usable(v: Var) -> bool:
        differentiated = v.grad and recorded
        fine = not differentiated or ("grad_write" in d.on and not t.storage.outside)
        return fine and v.dtype == t.dtype and fits(v.shape, shape)

    v = d.some(usable) if d.maybe() else None
    if v is None and d.rarely("wide_write"):
        v = d.some(lambda v: v.exact and (not v.grad or not recorded))
    if v is None:
        return d.number(t.dtype)
    _now(d, t.storage, v.exact, v.grad and recorded)
    return v.name


def _now(d: Draft, storage: Storage, exact: bool, grad: bool) -> None:
    """What is known of all that share memory, once a value has been written into it."""
    for other in d.variables:
        if other.storage is storage:
            other.exact = other.exact and exact
            other.grad = other.grad or (grad and not other.detached)

"""Functions that a module calls in the backward pass, with the gradients of its result and of its arguments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.custom_gradients import with_gradient
from tinytorch.frontend.module.hooks import BackwardHook
from tinytorch.frontend.module.tracked import Tracked, attributes_of
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradient_hooks import on_leaves
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc

Gradients = tuple[Tensor | None, ...]


class _HooksOfLeaves(Tracked):
    """Counts hooks that leaves get and lose which a compiled backward() has reached: it is traced anew then."""

    def __init__(self) -> None:
        self.changes = 0
        self.reached: set[int] = set()  # ids of leaves, some of which may be gone

    def count(self, leaf: int) -> None:
        if leaf in self.reached:
            self.changes += 1


_of_leaves = _HooksOfLeaves()
on_leaves.append(_of_leaves.count)


def note_hooks_of_leaves(leaves: Iterable[Tensor]) -> None:
    """Have the running trace depend on the hooks of these leaves."""
    _ = _of_leaves.changes
    attributes_of(_of_leaves)["reached"].update(map(id, leaves))


@dataclass
class BackwardPass:
    """The hooks of one call of a module. Arguments and results go through ops that change nothing, and whose
    cotangents are what hooks see and make: `arriving` are those of the results, once they are known."""

    module: Any
    hooks: Sequence[BackwardHook]
    count: int = 0  # of the arguments
    places: Sequence[int] = ()  # of those among them that have gradients
    arriving: Gradients = ()

    def arguments(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments to call `forward` with."""
        self.count = len(args)
        self.places = _with_gradients(args)
        if not self.places:
            return args
        given = [args[i] for i in self.places]
        passed = dict(zip(self.places, with_gradient(given, given, self._of_arguments), strict=True))
        return tuple(passed.get(i, x) for i, x in enumerate(args))

    def result(self, made: Any) -> Any:
        """What to return in the place of what `forward` returned: a tensor or a tuple, in which all else stays."""
        if not isinstance(made, (Tensor, tuple)):
            wanted = "a tensor or a tuple, for its hooks of gradients"
            raise arguments.wrong_type(type(self.module).__name__, "the result", wanted, made)
        items = cast("tuple[Any, ...]", made if isinstance(made, tuple) else (made,))
        places = _with_gradients(items)
        if not places:
            return made

        def pull(cotangents: list[Tensor]) -> Gradients:
            return self._of_results(len(items), places, cotangents)

        given = [items[i] for i in places]
        passed = dict(zip(places, with_gradient(given, given, pull), strict=True))
        final = [passed.get(i, x) for i, x in enumerate(items)]
        kind: Any = type(made)
        if kind is tuple or not isinstance(made, tuple):
            return tuple(final) if kind is tuple else final[0]
        return kind(*final) if hasattr(made, "_fields") else kind(final)

    def _of_results(self, count: int, places: Sequence[int], cotangents: Sequence[Tensor]) -> Gradients:
        self.arriving = _spread(count, places, cotangents)
        for hook in self.hooks:
            if hook.of_results:
                self.arriving = self._changed(self.arriving, hook.function(self.module, self.arriving))
        passed_on = tuple(self.arriving[i] for i in places)
        if not self.places:  # of an argument, no gradient will come
            nothing: Gradients = (None,) * self.count
            for hook in self.hooks:
                made = None if hook.of_results else hook.function(self.module, nothing, self.arriving)
                if made is not None and any(g is not None for g in made):
                    raise TinyTorchError(
                        f"register_full_backward_hook: no argument of {type(self.module).__name__} requires grad, so "
                        "the hook returns None",
                        user_loc(),
                    )
        return passed_on

    def _of_arguments(self, cotangents: Sequence[Tensor]) -> Gradients:
        found = _spread(self.count, self.places, cotangents)
        for hook in self.hooks:
            if not hook.of_results:
                found = self._changed(found, hook.function(self.module, found, self.arriving))
        return tuple(found[i] for i in self.places)

    def _changed(self, known: Gradients, made: Any) -> Gradients:
        """The gradients that a hook has returned; `known` if it returned None."""
        if made is None:
            return known
        new = made if isinstance(made, tuple) else (made,)
        what = f"a hook of the gradients of {type(self.module).__name__}"
        if len(new) != len(known):
            raise TinyTorchError(f"{what} returned {len(new)} gradients, it got {len(known)}", user_loc())
        for old, gradient in zip(known, new, strict=True):
            arguments.instance(what, "a gradient", gradient, Tensor, optional=True)
            if old is not None and gradient is not None and gradient.shape != old.shape:
                raise ShapeError(f"{what} returned {gradient.type} for {old.type}", user_loc())
        return new


def _with_gradients(items: Sequence[Any]) -> list[int]:
    return [i for i, x in enumerate(items) if mode.grad and isinstance(x, Tensor) and x.requires_grad]


def _spread(count: int, places: Sequence[int], gradients: Sequence[Tensor]) -> Gradients:
    """`count` gradients, of which those at other places are None."""
    at = dict(zip(places, gradients, strict=True))
    return tuple(at.get(i) for i in range(count))

"""Functions with a derivative of their own."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from copy import copy
from typing import Any

from tinytorch.frontend.functions.custom_gradients import with_gradient
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode, require_tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc


class Function:
    """A function whose derivative is written by hand, called as `MyFunction()(x)` or `MyFunction.apply(x)`.

    `forward(*inputs)` computes the result, a tensor or a tuple of them, without recording; it keeps what the
    derivative needs with `save_for_backward` or in attributes. `backward(grad_output)` takes the cotangent of each
    result and returns that of each input, None where there is none. Each call has its own copy of what `forward` kept.

    As in PyTorch, they may be static methods: their first parameter, `ctx`, is then this object. With a static
    `setup_context(ctx, inputs, output)`, which keeps what the derivative needs, `forward` has none.
    """

    needs_input_grad: tuple[bool, ...] = ()

    def __init__(self) -> None:
        self._saved: tuple[Any, ...] = ()

    def forward(self, *inputs: Any) -> Any:
        raise TinyTorchError(f"{type(self).__name__} has no forward()", user_loc())

    def backward(self, *grad_outputs: Any) -> Any:
        raise TinyTorchError(f"{type(self).__name__} has no backward()", user_loc())

    def setup_context(self, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep what `backward` needs, where a static `forward` has no context."""

    def mark_non_differentiable(self, *results: Any) -> None:
        """Nothing: results that are no floats have no gradients, others of None are none."""

    def set_materialize_grads(self, value: bool) -> None:
        """Nothing: cotangents of results that nothing depends on are zeros."""

    def _called(self, name: str, *given: Any) -> Any:
        """A method of this name, also if it is a static one, which takes the context first."""
        method = getattr(self, name)
        is_static = isinstance(inspect.getattr_static(type(self), name), staticmethod)
        return method(self, *given) if is_static else method(*given)

    def _forward(self, inputs: tuple[Any, ...]) -> Any:
        if type(self).setup_context is Function.setup_context:
            return self._called("forward", *inputs)
        made = self.forward(*inputs)
        self._called("setup_context", inputs, made)
        return made

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep inputs or results for `backward`, where they are `self.saved_tensors`."""
        self._saved = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        return self._saved

    @classmethod
    def apply(cls, *inputs: Any) -> Any:
        return cls()(*inputs)

    def __call__(self, *inputs: Any) -> Any:
        self._saved = ()
        tensors = [x for x in inputs if isinstance(x, Tensor)]
        with grad_mode(False):
            self.needs_input_grad = tuple(isinstance(x, Tensor) and x.requires_grad for x in inputs)
            made = self._forward(inputs)
        results = made if isinstance(made, tuple) else (made,)
        for result in results:
            require_tensor(f"{type(self).__name__}.forward", result)
        if not (mode.grad and any(x.requires_grad for x in tensors)):
            return made

        call = copy(self)

        def pull(cotangents: list[Tensor]) -> list[Tensor | None]:
            found = call._called("backward", *cotangents)
            return call._checked(found if isinstance(found, (tuple, list)) else (found,), inputs)

        final = with_gradient(results, tensors, pull)
        # A saved result is replaced by the one on the tape, so that second derivatives pass through it.
        places = {id(result): new for result, new in zip(results, final, strict=True)}
        call._saved = tuple(places.get(id(x), x) for x in self._saved)
        return tuple(final) if isinstance(made, tuple) else final[0]

    def _checked(self, found: Sequence[Any], inputs: Sequence[Any]) -> list[Tensor | None]:
        """The cotangents of the inputs that are tensors. `found` may have None for inputs that were not given."""
        name = f"{type(self).__name__}.backward"
        if all(gradient is None for gradient in found[len(inputs) :]):
            found = found[: len(inputs)]
        if len(found) != len(inputs):
            raise TinyTorchError(f"{name}: returned {len(found)} gradients for {len(inputs)} inputs", user_loc())
        kept: list[Tensor | None] = []
        for i, (gradient, x) in enumerate(zip(found, inputs, strict=True)):
            if gradient is not None and isinstance(x, Tensor):
                gradient = require_tensor(name, gradient)
                if gradient.shape != x.shape:
                    raise ShapeError(f"{name}: gradient {i} is {gradient.type}, the input {x.type}", user_loc())
                gradient = gradient.cast(x.dtype)
            if isinstance(x, Tensor):
                kept.append(gradient if x.dtype.is_float else None)
        return kept

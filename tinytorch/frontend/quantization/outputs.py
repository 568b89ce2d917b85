"""Results of modules as bytes: what lies between the blocks of a residual network, whose sums read it beside layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.creation import zeros
from tinytorch.frontend.module import Module
from tinytorch.frontend.quantization.affine import affine_parameters, as_bytes
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir import ops
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.types import f32

NAME = "quantized_output"  # under which a module holds it


class QuantizedOutput(Module):
    """Floats rounded to what integers u8 of one scale stand for, so that they can be kept as such. NaN is refused."""

    scale: Tensor
    zero_point: Tensor | None
    form = "u8"

    def __init__(self, activation_bits: int = 8, shifted: bool = False) -> None:
        super().__init__()
        self.activation_bits = activation_bits
        self.register_buffer("bits", Tensor(np.uint8(activation_bits)))  # for `load_quantized`
        self.register_buffer("scale", zeros(()))
        self.register_buffer("zero_point", zeros((), dtype="i32") if shifted else None)

    @classmethod
    def of_range(cls, low: float, high: float, activation_bits: int) -> QuantizedOutput:
        """For results from `low` to `high`."""
        scale, zero_point = affine_parameters(low, high, activation_bits)
        made = cls(activation_bits, bool(zero_point))
        made.scale = Tensor(np.float32(scale))
        made.zero_point = Tensor(np.int32(zero_point)) if zero_point else None
        return made.eval()

    def forward(self, input: Tensor) -> Tensor:
        x = apply(ops.elementwise.checked_number, input.detach().cast(f32), what="QuantizedOutput")
        point = None if self.zero_point is None else self.zero_point.cast(f32)
        scale = self.scale.cast(f32)
        q = as_bytes(x, 1.0 / scale, point, self.activation_bits).cast(f32)
        return ((q if point is None else q - point) * scale).cast(input.dtype)

    def extra_repr(self) -> str:
        return f"activations of {self.activation_bits} bits"


def round_results(module: Any, args: Any, result: Tensor) -> Tensor:
    """A forward hook of a module that holds a `QuantizedOutput`."""
    return getattr(module, NAME)(result)


def attach(module: Module, output: QuantizedOutput) -> None:
    """Round what a module gives from now on."""
    setattr(module, NAME, output)
    module.register_forward_hook(round_results)


def named_outputs(model: Module, names: Any) -> dict[str, Module]:
    """The modules of these names. TinyTorchError if there are no such."""
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise arguments.wrong_type("quantize", "outputs", "a list of names of modules", names)
    known = dict(model.named_modules())
    for name in names:
        if name not in known:
            raise TinyTorchError(f"quantize: the model has no module {name!r}, which outputs names", user_loc())
    return {name: known[name] for name in names}

"""What users choose about a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any, Self

from tinytorch.frontend import arguments
from tinytorch.frontend.quantization.int4 import checked_group_size
from tinytorch.frontend.quantization.ranges import METHODS

SCHEMES = ("affine", "symmetric")
AUTO = "auto"  # for numbers of bits: that which is fastest
_BITS = ("weight_bits", "activation_bits")


@dataclass(frozen=True)
class Settings:
    """How a layer is quantized; `quantize` describes the fields."""

    weight_bits: int = 8
    activation_bits: int = 8
    scheme: str = "affine"
    method: str = "minmax"
    percentile: float = 99.99
    weight_only: str | None = None
    group_size: int = 32

    def __post_init__(self) -> None:
        for name in _BITS:
            bits = arguments.integer("quantize", name, getattr(self, name))
            if bits not in (7, 8):
                raise arguments.wrong_value("quantize", name, "8 or 7", bits)
        arguments.choice("quantize", "scheme", self.scheme, *SCHEMES)
        arguments.choice("quantize", "method", self.method, *METHODS)
        arguments.number(
            "quantize", "percentile", self.percentile, lambda p: 50 < p <= 100, "a number above 50, up to 100"
        )

        if self.weight_only is not None:
            arguments.choice("quantize", "weight_only", self.weight_only, "int4")
        checked_group_size("quantize", self.group_size)

    @property
    def symmetric(self) -> bool:
        return self.scheme == "symmetric"

    def changed(self, name: str, changes: Mapping[str, Any]) -> Self:
        """The same with other values of some fields, as they are given for the layer `name`."""
        return replace(self, **_known(name, changes))


def choices(values: Mapping[str, Any], name: str, changes: Mapping[str, Any]) -> tuple[Settings, ...]:
    """Settings of these values, with changes for the layer `name`: one for each number of bits that "auto" leaves open,
    the most precise first."""
    values = {**values, **_known(name, changes)}
    weights, activations = (_open(values[key]) for key in _BITS)
    others = {key: value for key, value in values.items() if key not in _BITS}
    return tuple(Settings(*bits, **others) for bits in product(weights, activations))


def _open(bits: Any) -> tuple[Any, ...]:
    return (8, 7) if isinstance(bits, str) and bits == AUTO else (bits,)


def _known(name: str, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    known = [field.name for field in fields(Settings)]
    for key in changes:
        if key not in known:
            raise arguments.wrong_value("quantize", f"a setting of layer {name!r}", f"one of {', '.join(known)}", key)
    return changes

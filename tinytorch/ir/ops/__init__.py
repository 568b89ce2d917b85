"""The ops, by family; importing this enters them all in the registry."""

from tinytorch.ir.ops import (
    composite,
    contract,
    convolution,
    core,
    elementwise,
    index,
    losses,
    normalization,
    pooling,
    random,
    reduce,
    view,
    winograd,
)

__all__ = [
    "composite",
    "contract",
    "convolution",
    "core",
    "elementwise",
    "index",
    "losses",
    "normalization",
    "pooling",
    "random",
    "reduce",
    "view",
    "winograd",
]

"""The ops, by family; importing this enters them all in the registry."""

from tinytorch.ir.ops import (
    attention,
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
    recurrent,
    reduce,
    scan,
    view,
    winograd,
)

__all__ = [
    "attention",
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
    "recurrent",
    "reduce",
    "scan",
    "view",
    "winograd",
]

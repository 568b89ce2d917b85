"""Between static layers of a frozen graph lie bytes alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tests.frontend.quantization.test_quantize import cnn, mlp, numbers


class Branches(tt.Module):
    """Two convolutions of one image side by side, then one of both results, with an odd padding."""

    def __init__(self) -> None:
        super().__init__()
        generator = tt.Generator(0)
        self.first = tt.Conv2d(3, 4, 1, generator=generator)
        self.left = tt.Conv2d(4, 4, 3, padding=1, generator=generator)
        self.right = tt.Conv2d(4, 8, 1, generator=generator)
        self.last = tt.Conv2d(12, 5, 3, stride=2, padding=(1, 0), generator=generator)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        x = self.first(x)
        return self.last(tt.cat([self.left(x).relu(), self.right(x)], 1))


MODELS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "mlp": (mlp, (32, 12)),
    "cnn": (lambda: cnn().eval(), (4, 3, 8, 8)),
    "branches": (Branches, (2, 3, 6, 6)),
}


@pytest.mark.parametrize("name", MODELS)
def test_kernels_give_bytes_to_each_other(name: str) -> None:
    make, shape = MODELS[name]
    x = numbers(*shape)
    model = tt.quantize(make(), x)
    compiled: Any = tt.compile(model, freeze=True)
    with tt.no_grad():
        assert np.array_equal(compiled(x).numpy(), model(x).numpy())
    kernels = [node.attrs["body"].nodes for node in compiled.graph.nodes if node.op.name == "kernel"]
    results = [value for node in compiled.graph.nodes if node.op.name == "kernel" for value in node.outputs[:1]]
    products = [i for i, body in enumerate(kernels) if any(n.op.kind == "contract" for n in body)]
    assert len(products) > 1 and all(value.type.dtype is tt.u8 for value in results[: products[-1]])
    assert sum(n.op.guard is not None for body in kernels for n in body) == 1  # of what comes from outside

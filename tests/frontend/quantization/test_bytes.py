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


class Block(tt.Module):
    def __init__(self, generator: tt.Generator) -> None:
        super().__init__()
        self.first = tt.Conv2d(6, 6, 3, padding=1, generator=generator)
        self.second = tt.Conv2d(6, 6, 3, padding=1, generator=generator)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        return (x + self.second(self.first(x).relu())).relu()


class Residual(tt.Module):
    """Two blocks whose sums read what their convolutions read."""

    def __init__(self) -> None:
        super().__init__()
        generator = tt.Generator(0)
        self.stem = tt.Sequential(tt.Conv2d(3, 6, 3, padding=1, generator=generator), tt.ReLU())
        self.blocks = [Block(generator) for _ in range(2)]
        self.head = tt.Conv2d(6, 4, 1, generator=generator)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


MODELS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "mlp": (mlp, (32, 12)),
    "cnn": (lambda: cnn().eval(), (4, 3, 8, 8)),
    "branches": (Branches, (2, 3, 6, 6)),
    "residual": (Residual, (2, 3, 6, 6)),
}


@pytest.mark.parametrize("name", MODELS)
def test_kernels_give_bytes_to_each_other(name: str) -> None:
    make, shape = MODELS[name]
    x = numbers(*shape)
    outputs = ["stem", "blocks.0", "blocks.1"] if name == "residual" else []
    model = tt.quantize(make(), x, outputs=outputs)
    compiled: Any = tt.compile(model, freeze=True)
    with tt.no_grad():
        assert np.array_equal(compiled(x).numpy(), model(x).numpy())
    kernels = [node.attrs["body"].nodes for node in compiled.graph.nodes if node.op.name == "kernel"]
    results = [value for node in compiled.graph.nodes if node.op.name == "kernel" for value in node.outputs[:1]]
    products = [i for i, body in enumerate(kernels) if any(n.op.kind == "contract" for n in body)]
    assert len(products) > 1 and all(value.type.dtype is tt.u8 for value in results[: products[-1]])
    assert sum(n.op.guard is not None for body in kernels for n in body) == 1  # of what comes from outside


def test_outputs_are_in_the_table_and_in_files() -> None:
    x, names = numbers(2, 3, 6, 6), ["stem", "blocks.0", "blocks.1"]
    model = tt.quantize(Residual(), x, outputs=names)
    assert all(model.sensitivity[f"{name} (result)"].form == "u8" for name in names)
    assert len(np.unique(model.blocks[0](model.stem(x)).numpy())) <= 256
    state = model.state_dict()
    assert np.array_equal(tt.load_quantized(Residual(), state)(x).numpy(), model(x).numpy())
    kept = tt.quantize(Residual(), x, outputs=names, max_error=1e-6)
    assert {row.form for row in kept.sensitivity} == {"fp32"}
    assert np.allclose(kept(x).detach().numpy(), Residual()(x).detach().numpy(), atol=1e-5)


def test_outputs_that_are_refused() -> None:
    x = numbers(2, 3, 6, 6)
    for outputs, data, message in (
        (["no"], x, "no module 'no'"), ("stem", x, "a list of names"), (["stem"], None, "need calibration_data"),
    ):  # fmt: skip
        with pytest.raises(tt.TinyTorchError, match=message):
            tt.quantize(Residual(), data, outputs=outputs)
    blocks = tt.GPT(9, 8, 1, 2, 4)  # give a pair of results
    with pytest.raises(tt.TinyTorchError, match="is not one tensor of floats"):
        tt.quantize(blocks, tt.tensor([[1, 2]]), outputs=["blocks.0"])


def test_hooks_of_layers_stay() -> None:
    model, calls = mlp(), list[str]()
    model[0].register_forward_hook(lambda module, args, result: calls.append(type(module).__name__))
    tt.quantize(model)(numbers(2, 12))
    assert calls == ["QuantizedLinear"]

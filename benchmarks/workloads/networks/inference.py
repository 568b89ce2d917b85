"""Inference of a network on a batch that stays the same; weights and statistics are constants where that helps.

The layouts are those of `cnn.py`: TinyTorch, eager torch, ONNX Runtime and OpenVINO take images with channels in front;
"torch channels_last", torch.compile and jax with channels last, converted before the clock starts.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.allocator import keep_freed_memory
from benchmarks.operations import multiplications_of
from benchmarks.registry import Case, random
from benchmarks.workloads.networks.definitions import Network
from benchmarks.workloads.networks.jax_layers import JaxLayers, from_torch
from benchmarks.workloads.networks.onnx_layers import Named, OnnxLayers
from benchmarks.workloads.networks.shapes import Shapes, Size, parameters, shapes_of, statistics
from benchmarks.workloads.networks.torch_layers import TorchLayers
from benchmarks.workloads.onnx_models import openvino_of, session_of


@dataclass(frozen=True)
class Inference:
    """A network on `batch` images of `image`."""

    network: Network
    image: Size
    batch: int

    @functools.cached_property
    def shapes(self) -> Shapes:
        return shapes_of(self.network, self.image)

    @property
    def flops(self) -> float:
        return 2.0 * self.batch * sum(self.shapes.multiplications)

    @functools.cached_property
    def images(self) -> NDArray[np.float32]:
        return random(self.batch, *self.image, seed=30)

    @functools.cached_property
    def numbers(self) -> tuple[list[Any], list[Any]]:
        """Weights and statistics."""
        return parameters(self.shapes), statistics(self.shapes, fresh=False)


def tinytorch_infer(what: Inference) -> Case:
    import tinytorch as tt

    weights, running = what.numbers
    mine = [tt.Tensor(w) for w in weights]
    seen = [(tt.Tensor(mean), tt.Tensor(variance)) for mean, variance in running]

    def forward(x: Any) -> Any:
        return what.network(TorchLayers(tt, tt.nn.functional, mine, seen, training=False), x)

    compiled = tt.compile(forward, freeze=True)
    x = tt.Tensor(what.images)

    def step() -> Any:
        with tt.no_grad():
            return compiled(x)

    return Case(step, lambda: {"logits": step().numpy()}, done=lambda: multiplications_of(compiled))


def _torch_model(what: Inference, last: bool) -> Any:
    import torch

    layout = torch.channels_last if last else torch.contiguous_format
    weights, running = what.numbers

    class Model(torch.nn.Module):
        """Holds the numbers as attributes, which torch.compile freezes."""

        def __init__(self) -> None:
            super().__init__()
            laid_out = [torch.from_numpy(w) for w in weights]
            laid_out = [w.contiguous(memory_format=layout) if w.ndim == 4 else w for w in laid_out]
            self.weights = torch.nn.ParameterList(laid_out)
            for i, pair in enumerate(running):
                for name, array in zip(("mean", "variance"), pair, strict=True):
                    self.register_buffer(f"{name}{i}", torch.from_numpy(array))

        def forward(self, x: Any) -> Any:
            seen = [(getattr(self, f"mean{i}"), getattr(self, f"variance{i}")) for i in range(len(running))]
            return what.network(TorchLayers(torch, torch.nn.functional, self.weights, seen, training=False), x)

    if last:
        keep_freed_memory()
    return Model().eval(), torch.from_numpy(what.images).contiguous(memory_format=layout)


def torch_infer(what: Inference, last: bool = False) -> Case:
    import torch

    model, x = _torch_model(what, last)

    def step() -> Any:
        with torch.inference_mode():
            return model(x)

    return Case(step, lambda: {"logits": step().numpy()})


def torch_compile_infer(what: Inference) -> Case:
    import torch

    torch.compiler.reset()  # else, it compiles the second batch size for any
    model, x = _torch_model(what, last=True)
    compiled = torch.compile(model, fullgraph=True, options={"freezing": True})

    def step() -> Any:
        with torch.no_grad():
            return compiled(x)

    return Case(step, lambda: {"logits": step().numpy()})


def jax_infer(what: Inference) -> Case:
    import jax
    import jax.numpy as jnp

    keep_freed_memory()
    weights, running = what.numbers
    mine = [jnp.asarray(from_torch(w)) for w in weights]
    seen = [(jnp.asarray(mean), jnp.asarray(variance)) for mean, variance in running]
    forward = jax.jit(lambda mine, seen, x: what.network(JaxLayers(mine, seen, training=False), x))
    x = jnp.asarray(what.images.transpose(0, 2, 3, 1))
    return Case(
        lambda: forward(mine, seen, x).block_until_ready(), lambda: {"logits": np.asarray(forward(mine, seen, x))}
    )


def onnx_infer(what: Inference, runtime: str) -> Case:
    """By ONNX Runtime or OpenVINO."""
    layers = OnnxLayers(*what.numbers)
    result = what.network(layers, Named("x", what.image[0]))
    layers.nodes[-1].output[0] = "y"
    build = session_of if runtime == "onnxruntime" else openvino_of
    run = build(layers.nodes, {"x": what.images}, (what.batch, result.channels), layers.constants)
    return Case(run, lambda: {"logits": run()})

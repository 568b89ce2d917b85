"""A network of which modules' names, state and files are tested."""

from __future__ import annotations

from tinytorch.frontend import functional as F
from tinytorch.frontend.layers.layers import Linear
from tinytorch.frontend.module import Module, Parameter
from tinytorch.frontend.tensor import Tensor


class Net(Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = Parameter([1.0, 2.0])
        self.first = Linear(2, 2)
        self.shared = self.first
        self.layers = [Linear(2, 3), {"last": Linear(3, 1)}]
        self.register_buffer("mean", F.zeros(2))
        self.register_buffer("scratch", F.zeros(2), persistent=False)
        self.note = "no tensor"
        self.constant = F.ones(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.shared(self.first(x * self.scale - self.mean))
        return self.layers[1]["last"](self.layers[0](x))

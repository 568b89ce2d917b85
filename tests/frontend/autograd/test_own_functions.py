"""Functions with derivatives of their own: `Function`, in our form and in PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend.autograd import (
    Function,
    grad,
    no_grad,
)
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError

RNG = np.random.default_rng(3)


def leaf(*shape: int) -> Tensor:
    return Tensor(RNG.normal(size=shape), requires_grad=True)


class Cube(Function):
    def forward(self, x: Tensor) -> Tensor:
        self.save_for_backward(x)
        return x * x * x

    def backward(self, grad_output: Tensor) -> Tensor:
        (x,) = self.saved_tensors
        return grad_output * 3 * x * x


class Exp(Function):
    """Saves its result."""

    def forward(self, x: Tensor) -> Tensor:
        y = x.exp()
        self.save_for_backward(y)
        return y

    def backward(self, grad_output: Tensor) -> Tensor:
        (y,) = self.saved_tensors
        return grad_output * y


class Polar(Function):
    """Two results, and an input that is no tensor."""

    def forward(self, r: Tensor, angle: Tensor, turns: int) -> tuple[Tensor, Tensor, Tensor]:
        full = angle + turns * 2 * np.pi
        self.save_for_backward(r, full)
        return r * full.cos(), r * full.sin(), r > 0

    def backward(self, gx: Tensor, gy: Tensor, g_sign: Tensor) -> tuple[Tensor, Tensor, None]:
        r, angle = self.saved_tensors
        assert not g_sign.numpy().any()
        return gx * angle.cos() + gy * angle.sin(), r * (gy * angle.cos() - gx * angle.sin()), None


def test_function_forms():
    for call in (Cube(), Cube.apply):
        x = Tensor([1.0, 2.0], requires_grad=True)
        y = call(x)
        assert y.tolist() == [1.0, 8.0] and y.requires_grad
        y.sum().backward()
        assert x.grad.tolist() == [3.0, 12.0]
    cube = Cube()
    assert cube.forward(Tensor([2.0])).tolist() == [8.0] and cube.backward(Tensor([1.0])).tolist() == [12.0]
    assert not Cube()(Tensor([1.0])).requires_grad
    with no_grad():
        assert not Cube()(x).requires_grad


def test_one_function_object_may_be_called_twice():
    f, a, b = Cube(), Tensor([1.0], requires_grad=True), Tensor([2.0], requires_grad=True)
    (f(a) + f(b)).sum().backward()
    assert (a.grad.tolist(), b.grad.tolist()) == ([3.0], [12.0])


def test_function_with_several_results():
    values = RNG.uniform(0.5, 1.0, (2, 3))
    r, angle = (Tensor(v, requires_grad=True) for v in values)
    x, y, positive = Polar()(r, angle, 2)
    assert positive.dtype.name == "bool" and not positive.requires_grad
    (x * 2 + y * y).sum().backward()
    a, b = (Tensor(v, requires_grad=True) for v in values)
    (a * b.cos() * 2 + (a * b.sin()) ** 2).sum().backward()
    np.testing.assert_allclose(r.grad.numpy(), a.grad.numpy(), rtol=1e-9)
    np.testing.assert_allclose(angle.grad.numpy(), b.grad.numpy(), rtol=1e-9)


@pytest.mark.parametrize("kind", [Cube, Exp])
def test_second_derivatives_of_functions(kind):
    x = Tensor([0.5, 1.5], dtype="f64")
    second = grad(lambda t: grad(lambda u: kind()(u).sum())(t).sum())(x)
    expected = 6 * x.numpy() if kind is Cube else np.exp(x.numpy())
    np.testing.assert_allclose(second.numpy(), expected, rtol=1e-12)


def test_backward_of_a_function_runs_once_for_all_operands():
    calls: list[int] = []

    class Product(Function):
        def forward(self, a, b, c):
            self.save_for_backward(a, b, c)
            return a * b * c

        def backward(self, g):
            calls.append(1)
            a, b, c = self.saved_tensors
            return g * b * c, g * a * c, g * a * b

    a, b, c = leaf(2), leaf(2), leaf(2)
    Product()(a, b, c).sum().backward()
    np.testing.assert_allclose(b.grad.numpy(), a.numpy() * c.numpy())
    assert len(calls) == 1


def test_none_for_inputs_that_were_not_given():
    class Scaled(Function):
        @staticmethod
        def forward(ctx, x, factor, flag=None):
            ctx.factor = factor
            return x * factor

        @staticmethod
        def backward(ctx, gradient):
            return gradient * ctx.factor, None, None

    x = leaf(2)
    Scaled.apply(x, 3.0).sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_function_errors():
    def made(backward, forward=lambda self, x: x * 2):
        return type("Mine", (Function,), {"forward": forward, "backward": backward})()

    x = leaf(2)
    with pytest.raises(TinyTorchError, match="2 gradients for 1 inputs"):
        made(lambda self, g: (g, g))(x).sum().backward()
    with pytest.raises(ShapeError, match=r"f64\[1\], the input f64\[2\]"):
        made(lambda self, g: g[:1])(x).sum().backward()
    with pytest.raises(TinyTorchError, match="expected a Tensor, got float"):
        made(lambda self, g: g, lambda self, x: 1.0)(x)
    with pytest.raises(TinyTorchError, match=r"Function has no forward\(\)"):
        Function()(x)
    with pytest.raises(TinyTorchError, match=r"Mine has no backward\(\)"):
        type("Mine", (Function,), {"forward": lambda self, x: x * 2})()(x).sum().backward()


class Scale(tt.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.save_for_backward(x)
        ctx.factor = factor
        return x * factor

    @staticmethod
    def backward(ctx, g):
        assert ctx.needs_input_grad == (True, False) and ctx.saved_tensors[0].shape == g.shape
        return g * ctx.factor, None


class Twice(tt.Function):
    @staticmethod
    def forward(x):
        return x * 2

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.factor = output / inputs[0]

    @staticmethod
    def backward(ctx, g):
        return g * ctx.factor


def test_functions_may_be_written_as_in_torch():
    for apply in (lambda x: Scale.apply(x, 3), lambda x: Twice.apply(x) * 1.5):
        x = Tensor([1.0, 2.0], requires_grad=True)
        apply(x).sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), [3, 3])
        np.testing.assert_array_equal(tt.compile(apply)(x).numpy(), [3, 6])

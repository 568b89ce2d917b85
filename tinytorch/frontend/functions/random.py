"""Random tensors from counter-based generators: a pure function of (seed, offset), so that a compiled step draws the
same numbers as an eager one, and a saved state resumes exactly."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.devices import device as Device
from tinytorch.frontend.tensor.devices import require_cpu, require_plain_format
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError, TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Op, apply
from tinytorch.ir.types import Shape, dtype_of, f32, i32, i64

composite, random_bits = ops.composite, ops.random.random_bits


def _fresh_seed() -> int:
    """63 bits of the operating system (`secrets` would load OpenSSL)."""
    if mode.trace is not None:
        raise TraceError(
            "a seed of the operating system is taken while tracing: compiled, every call would have the same one. Make "
            "the generator outside of the function, or give it a seed",
            user_loc(),
        )
    return int.from_bytes(os.urandom(8), "little") >> 1


class Generator:
    """A stream of random numbers. `state` is i64[2] = (seed, offset); every draw moves the offset on.

    Without a seed, one is taken from the operating system. In the place of the seed the device may stand, as in
    PyTorch: "cpu".
    """

    def __init__(self, seed: Any = None, device: object = None) -> None:
        if isinstance(seed, (str, Device)):
            seed, device = None, seed
        require_cpu(device)
        self.state = Tensor.wrap(np.zeros(2, np.int64))
        self.state.name = "random"
        self.manual_seed(_fresh_seed() if seed is None else seed)

    @property
    def device(self) -> Device:
        """Always the CPU."""
        return Device()

    def manual_seed(self, seed: int) -> Generator:
        """Start again from `seed`, any 64-bit integer."""
        if not -(2**63) <= seed < 2**64:
            raise TinyTorchError(f"manual_seed: {seed} does not fit 64 bits", user_loc())
        return self.set_state((seed - 2**64 if seed >= 2**63 else seed, 0))

    def seed(self) -> int:
        """Start again from a seed of the operating system, and return it."""
        seed = _fresh_seed()
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        return int(self.state.numpy()[0])

    def get_state(self) -> Tensor:
        """A copy of the state, for `set_state`."""
        return self.state.clone()

    def set_state(self, state: Any) -> Generator:
        values = state if isinstance(state, Tensor) else Tensor(np.asarray(state, np.int64))
        if values.type != self.state.type:
            raise ShapeError(f"set_state: a generator's state is {self.state.type}, got {values.type}", user_loc())
        self.state.copy_(values)
        return self

    def take(self, count: int) -> Tensor:
        """The state for one application of a random op, which uses `count` blocks of bits; the generator moves on."""
        with grad_mode(False):
            used = self.state.clone()  # what the state is now, also once it has moved on
            self.state.copy_(used + np.array([0, count], np.int64))
        return used


default_generator = Generator()


def stream(what: str, generator: Generator | None) -> Generator:
    """The generator that was given, or the default one."""
    if generator is None:
        return default_generator
    arguments.instance(what, "generator", generator, Generator)
    return generator


def manual_seed(seed: int) -> Generator:
    """Start the default generator again from `seed`."""
    return default_generator.manual_seed(seed)


def get_state() -> Tensor:
    return default_generator.get_state()


def set_state(state: Any) -> None:
    default_generator.set_state(state)


def shape_of(what: str, size: tuple[Any, ...]) -> Shape:
    """`f(2, 3)` and `f((2, 3))` mean the same; ShapeError if that is no shape."""
    items = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    shape: list[int] = []
    for item in items:
        if isinstance(item, bool) or not isinstance(item, (int, np.integer)) or item < 0:
            raise ShapeError(f"{what}: sizes are integers that are not negative, got {items}", user_loc())
        shape.append(int(item))
    return tuple(shape)


def _random(
    what: str, op: Op, size: tuple[Any, ...], dtype: object, generator: Generator | None, requires_grad: bool
) -> Tensor:
    shape = shape_of(what, size)
    out = apply(
        op,
        stream(what, generator).take(math.prod(shape)),
        shape=shape,
        dtype=f32 if dtype is None else dtype_of(dtype),
    )
    return out.requires_grad_() if requires_grad else out


@spelled(method=False)
def rand(
    *size: Any,
    dtype: object = None,
    generator: Generator | None = None,
    requires_grad: bool = False,
    device: object = None,
) -> Tensor:
    """Uniform on [0, 1), in steps of 2**-24."""
    require_cpu(device)
    return _random("rand", composite.uniform, size, dtype, generator, requires_grad)


@spelled(method=False)
def randn(
    *size: Any,
    dtype: object = None,
    generator: Generator | None = None,
    requires_grad: bool = False,
    device: object = None,
) -> Tensor:
    """Normal, of mean 0 and variance 1."""
    require_cpu(device)
    return _random("randn", composite.normal, size, dtype, generator, requires_grad)


@spelled(method=False)
def rand_like(
    input: Tensor,
    dtype: object = None,
    generator: Generator | None = None,
    device: object = None,
    requires_grad: bool = False,
    memory_format: object = None,
) -> Tensor:
    """`rand` with the shape of `input`, and its dtype where none is given."""
    require_plain_format("rand_like", memory_format)
    given = dtype or input.dtype
    return rand(input.shape, dtype=given, generator=generator, device=device, requires_grad=requires_grad)


@spelled(method=False)
def randn_like(
    input: Tensor,
    dtype: object = None,
    generator: Generator | None = None,
    device: object = None,
    requires_grad: bool = False,
    memory_format: object = None,
) -> Tensor:
    """`randn` with the shape of `input`, and its dtype where none is given."""
    require_plain_format("randn_like", memory_format)
    given = dtype or input.dtype
    return randn(input.shape, dtype=given, generator=generator, device=device, requires_grad=requires_grad)


@spelled(method=False)
def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    dtype: object = None,
    generator: Generator | None = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers of `low` (0 where only `high` is given) up to `high` - 1, `randint(10, (2, 3))` or
    `randint(5, 10, (2, 3))`. At most 2**31 different ones.

    64 random bits, read as a fraction of 1, are multiplied by the number of values (Lemire, "Fast random integer
    generation in an interval", 2019, without the rejection), which is even to one part in 2**33.
    """
    require_cpu(device)
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    shape = shape_of("randint", (size if isinstance(size, (tuple, list)) else (size,),))
    if not 0 < high - low <= 2**31:
        raise TinyTorchError(f"randint: needs low < high <= low + 2**31, got {low} and {high}", user_loc())
    target = i64 if dtype is None else dtype_of(dtype)
    if target.kind in ("int", "uint") and not target.limits[0] <= low < high <= target.limits[1] + 1:
        raise TinyTorchError(f"randint: {low} to {high - 1} do not fit dtype {target}", user_loc())
    upper, lower = _words("randint", shape, generator)
    carry = (lower * (high - low)) >> 32
    out = (((upper * (high - low) + carry) >> 32) + low).cast(target)
    return out.requires_grad_() if requires_grad else out


@spelled(method=False)
def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    dtype: object = None,
    device: object = None,
    generator: Generator | None = None,
) -> Tensor:
    """`randint` with the shape of `input`, and its dtype where none is given."""
    return randint(low, high, input.shape, dtype=dtype or input.dtype, device=device, generator=generator)


def _words(what: str, shape: Shape, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """Two words of 32 random bits, as i64 in [0, 2**32)."""
    state = stream(what, generator).take(math.prod(shape))
    one, two = (_unsigned(apply(random_bits, state, shape=shape, word=word)) for word in (0, 1))
    return one, two


def bits_of(shape: Shape, count: int, generator: Generator | None = None) -> Tensor:
    """Integers of `count` random bits, at most 63."""
    upper, lower = _words("random_", shape, generator)
    return lower >> (32 - count) if count <= 32 else ((upper << (count - 32)) >> 32 << 32 | lower)


def _unsigned(bits: Tensor) -> Tensor:
    """i32 bits as i64 in [0, 2**32)."""
    return bits.cast(i64) & 0xFFFFFFFF


@spelled(method=False)
def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: object = None,
    device: object = None,
    requires_grad: bool = False,
) -> Tensor:
    """The integers below `n` in random order, as i64[n]; not under tt.compile."""
    require_cpu(device)
    if mode.trace is not None:
        raise TraceError("randperm cannot be traced; draw the order outside of the compiled function", user_loc())
    (count,) = shape_of("randperm", (n,))
    state = stream("randperm", generator).take(count)
    keys = np.stack([apply(random_bits, state, shape=(count,), word=word).numpy() for word in (0, 1)])
    out = Tensor.wrap(np.lexsort(keys).astype(i64.numpy)).cast(dtype or i64)
    return out.requires_grad_() if requires_grad else out


@spelled()
def bernoulli(input: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that `input` has there (or with `p` everywhere), else 0."""
    chance = input if p is None else p
    drawn = rand(input.shape, dtype=_drawn(input), generator=generator)
    return (drawn < chance).cast(input.dtype)


def uniform_(tensor: Tensor, low: float = 0.0, high: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Overwrite `tensor` with uniform numbers in [low, high)."""
    with grad_mode(False):
        return tensor.copy_(rand(tensor.shape, dtype=_drawn(tensor), generator=generator) * (high - low) + low)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Overwrite `tensor` with normal numbers."""
    with grad_mode(False):
        return tensor.copy_(randn(tensor.shape, dtype=_drawn(tensor), generator=generator) * std + mean)


def _drawn(tensor: Tensor) -> object:
    """The dtype to draw in: half precision is rounded once, at the end."""
    return tensor.dtype if tensor.dtype.bits >= i32.bits and tensor.dtype.is_float else f32

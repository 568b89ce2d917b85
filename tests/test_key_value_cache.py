"""State that is written slice by slice at positions that are known when the graph runs, as a decoder's keys and values.

What is looked at in the schedule: no kernel copies a cache, and none lies in the arena.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tests.execution import kernels
from tinytorch.ir.kernels.index_ranges import guard_indices
from tinytorch.ir.text.parser import parse_graph
from tinytorch.runtime.measure import alone
from tinytorch.runtime.schedule import Schedule, schedule

Array = np.ndarray[Any, Any]
BACKENDS = ["llvm", "interpreter"]


def plan_of(text: str) -> Schedule:
    return schedule(guard_indices(kernels(parse_graph(text))))


def written_in_place(plan: Schedule) -> list[bool]:
    """For each update in order, whether it writes over what it updates."""
    calls = [call for wave in plan.waves for call in wave if call.body.nodes[0].op.kind == "update"]
    return [call.operands[0].place == call.results[0].place for call in calls]


def largest_written(plan: Schedule) -> int:
    """The most bytes that a kernel which is no update in place writes."""
    others = [c for wave in plan.waves for c in wave if c.body.nodes[0].op.kind != "update"]
    return max((result.value.type.bytes for call in others for result in call.results), default=0)


CACHE = "f32[2,512,8]"  # 32 KiB
STEP = "f32[2,1,8]"
WRITE = f"{CACHE} {{starts=(0, 0, 0), steps=(1, 1, 1), axes=(1,)}}"


def test_a_write_at_a_position_is_in_place() -> None:
    plan = plan_of(f"""graph @write(%k: {CACHE} = state, %u: {STEP}, %t: i64[]) -> (%n => %k) {{
      %n = update_slice(%k, %u, %t) : {WRITE}
    }}""")
    assert written_in_place(plan) == [True] and plan.arena_bytes < 1024
    assert [[c.guarded for c in wave] for wave in plan.waves] == [[True], [False]]  # the check comes first


def test_chains_of_writes_and_two_caches() -> None:
    plan = plan_of(f"""graph @both(%k: {CACHE} = state, %v: {CACHE} = state, %u: {STEP}, %t: i64[], %s: i64[])
        -> (%a => %k, %b => %v) {{
      %0 = update_slice(%k, %u, %t) : {WRITE}
      %a = update_slice(%0, %u, %s) : {WRITE}
      %1 = update_slice(%v, %u, %s) : {WRITE}
      %b = update_slice(%1, %u, %t) : {WRITE}
    }}""")
    assert written_in_place(plan) == [True] * 4 and plan.arena_bytes < 1024


def test_reads_of_the_old_value_run_before_and_reads_of_the_new_one_after() -> None:
    plan = plan_of(f"""graph @read(%k: {CACHE} = state, %u: {STEP}, %t: i64[], %q: f32[2,8,4])
        -> (%old, %new, %part, %n => %k) {{
      %old = matmul(%k, %q) : f32[2,512,4]
      %part = dynamic_slice(%k, %t) : {STEP} {{starts=(0, 0, 0), limits=(2, 1, 8), steps=(1, 1, 1), axes=(1,)}}
      %n = update_slice(%k, %u, %t) : {WRITE}
      %new = matmul(%n, %q) : f32[2,512,4]
    }}""")
    assert written_in_place(plan) == [True] and plan.arena_bytes < 1024
    order = [sorted(call.family for call in wave) for wave in plan.waves]
    assert order == [["contract", "loop"], ["index"], ["index"], ["contract"]]


def test_what_needs_the_old_value_with_the_new_one_copies() -> None:
    plan = plan_of(f"""graph @kept(%k: {CACHE} = state, %u: {STEP}, %t: i64[]) -> (%d, %n => %k) {{
      %n = update_slice(%k, %u, %t) : {WRITE}
      %d = sub(%n, %k) : {CACHE}
    }}""")
    assert written_in_place(plan) == [False]


def test_a_write_whose_position_is_read_from_the_cache() -> None:
    plan = plan_of("""graph @next(%k: i64[4096] = state, %t: i64[], %u: i64[1]) -> (%n => %k) {
      %p = dynamic_slice(%k, %t) : i64[1] {starts=(0,), limits=(1,), steps=(1,), axes=(0,)}
      %r = reshape(%p) : i64[] {shape=()}
      %n = update_slice(%k, %u, %r) : i64[4096] {starts=(0,), steps=(1,), axes=(0,)}
    }""")
    assert written_in_place(plan) == [True] and plan.arena_bytes < 1024


def test_a_write_through_a_view_is_measured_in_place() -> None:
    graph = kernels(
        parse_graph("""graph @rows(%k: f32[2,256,8] = state, %i: i64[2], %u: f32[2,8]) -> (%n => %k) {
      %0 = reshape(%k) : f32[512,8] {shape=(512, 8)}
      %1 = scatter(%0, %i, %u) : f32[512,8] {axis=0}
      %n = reshape(%1) : f32[2,256,8] {shape=(2, 256, 8)}
    }""")
    )
    (write,) = (node for node in graph.nodes if node.op.kind == "kernel")
    assert written_in_place(schedule(guard_indices(graph))) == [True]
    assert written_in_place(schedule(alone(graph, write, 0))) == [True]


# Of compiled functions.
def plan_of_compiled(function: Any) -> Schedule:
    return schedule(guard_indices(function.graph))


WRITERS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "a slice": lambda c, t, u: c.__setitem__((slice(None), slice(t, t + 1)), u),
    "an integer": lambda c, t, u: c.__setitem__((slice(None), t), u[:, 0]),
    "several places": lambda c, t, u: c.index_copy_(1, t.reshape(1), u),
    "narrow": lambda c, t, u: c.narrow(1, t, 1).copy_(u),
    "two positions": lambda c, t, u: c.__setitem__((t % 2, slice(t, t + 1)), u[0]),
    "a part": lambda c, t, u: c[0].__setitem__(slice(t, t + 1), u[0]),
    "a part of an axis": lambda c, t, u: c[:, :, 2:4].__setitem__((slice(None), t), u[:, 0, :2]),
    "a transposed view": lambda c, t, u: c.transpose(0, 2).__setitem__((slice(None), t), u[:, 0].t()),
    "a permuted part": lambda c, t, u: c[1].t().__setitem__((slice(None), slice(t, t + 1)), u[1].t()),
    "added": lambda c, t, u: c.__setitem__((slice(None), t), c[:, t] + u[:, 0]),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", "i64", "bool"])
@pytest.mark.parametrize("how", WRITERS)
def test_ways_to_write(how: str, dtype: str, backend: str) -> None:
    rng = np.random.default_rng(3)
    u = tt.Tensor(rng.integers(0, 2, (2, 1, 8)).astype(bool)).cast(dtype)
    cache, eager = tt.zeros(2, 512, 8, dtype=dtype), tt.zeros(2, 512, 8, dtype=dtype)

    def write(c: Any, t: Any, u: Any) -> None:
        WRITERS[how](c, t, u)

    step = tt.compile(write, backend=backend)
    for t in (0, 7, 511, 255):
        step(cache, tt.tensor(t), u)
        write(eager, tt.tensor(t), u)
        np.testing.assert_array_equal(cache.numpy().astype(float), eager.numpy().astype(float))
    if backend == "llvm":
        plan = plan_of_compiled(step)
        assert all(written_in_place(plan)) and plan.arena_bytes < 1024 and largest_written(plan) < 1024


def test_one_buffer_holds_the_caches_of_all_layers() -> None:
    cache, eager = tt.zeros(4, 2, 3, 64, 8), tt.zeros(4, 2, 3, 64, 8)

    def write(c: Any, t: Any, u: Any) -> Any:
        total = u.sum() * 0
        for layer in range(4):
            keys, values = c[layer]
            keys[:, t : t + 1] = u + layer
            values[:, t] = keys[:, t] * 2
            total = total + (keys @ u.mT).sum() + values.sum()
        return total

    step = tt.compile(write)
    for t in (3, 0, 63):
        u = tt.Tensor(np.full((3, 1, 8), t + 1.0, np.float32))
        assert step(cache, tt.tensor(t), u).item() == write(eager, tt.tensor(t), u).item()
        np.testing.assert_array_equal(cache.numpy(), eager.numpy())
    plan = plan_of_compiled(step)
    assert written_in_place(plan) == [True] * 8 and plan.arena_bytes < 4096 and largest_written(plan) < 4096


VIEWS: list[Callable[[Any], Any]] = [
    lambda c: c,
    lambda c: c[1],
    lambda c: c[1][0],
    lambda c: c[0, :, 1:5],
    lambda c: c[:, 1].transpose(1, 2),
    lambda c: c[0].unsqueeze(0)[:, 1],
    lambda c: c[..., ::2],
    lambda c: c[1].detach()[:, ::2],
    lambda c: c.permute(3, 1, 0, 2)[1:],
]


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=40, deadline=None)
@given(
    writes=st.lists(st.tuples(st.sampled_from(VIEWS), st.integers(0, 3), st.booleans(), st.integers(0, 1)), max_size=4),
    reads=st.lists(st.sampled_from(VIEWS), min_size=1, max_size=2),
)
def test_views_of_a_cache_are_written_and_read(writes: list[Any], reads: list[Any], backend: str) -> None:
    def step(c: Any, places: Any, u: Any) -> Any:
        found = [reads[0](c).sum()]
        for i, (view, axis, single, plus) in enumerate(writes):
            part = view(c)
            at = places[plus]
            index = (slice(None),) * (axis % part.ndim) + (at if single else slice(at, at + 1),)
            if part.shape[axis % part.ndim] == 1:  # of which there is no second element
                continue
            part[index] = u + i
            found.append(part[:1].sum())
        return (*found, *(read(c).clone() for read in reads))

    start = np.arange(96.0).reshape(2, 2, 6, 4)
    mine, other = tt.Tensor(start), tt.Tensor(start)
    places, u = [tt.tensor(0), tt.tensor(1)], tt.tensor(100.0)
    got, wanted = tt.compile(step, backend=backend)(mine, places, u), step(other, places, u)
    for a, b in zip((*got, mine), (*wanted, other), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_written(backend: str) -> None:
    cache = tt.zeros(0, 4)

    @(lambda f: tt.compile(f, backend=backend))
    def step(t: Any) -> Any:
        cache[:, t : t + 2] = 1.0
        cache[:, t : t + 0] = 2.0
        return cache.sum() + cache[:, t : t + 1].sum()

    assert step(tt.tensor(2)).item() == 0
    with pytest.raises(IndexError, match="2 elements from 3 on"):
        step(tt.tensor(3))


# A decoder.
class Attention(tt.Module):
    """Causal self-attention over a cache of [batch, heads, most, head]."""

    def __init__(self, batch: int, heads: int, most: int, head: int) -> None:
        super().__init__()
        self.heads, self.head = heads, head
        self.project = tt.Linear(heads * head, 3 * heads * head)
        self.register_buffer("keys", tt.zeros(batch, heads, most, head))
        self.register_buffer("values", tt.zeros(batch, heads, most, head))

    def forward(self, x: Any, position: Any) -> Any:
        batch, count, width = x.shape
        parts = self.project(x).reshape(batch, count, 3, self.heads, self.head).permute(2, 0, 3, 1, 4)
        self.keys[:, :, position : position + count] = parts[1]
        self.values[:, :, position : position + count] = parts[2]
        scores = parts[0] @ self.keys.transpose(-1, -2) / self.head**0.5
        seen = tt.arange(self.keys.shape[2]) <= tt.arange(count).unsqueeze(1) + position
        weights = tt.where(seen, scores, -1e9).softmax(-1)
        return x + (weights @ self.values).transpose(1, 2).reshape(batch, count, width)


class Decoder(tt.Module):
    def __init__(self, layers: int, most: int) -> None:
        super().__init__()
        self.layers = [Attention(2, 3, most, 4) for _ in range(layers)]
        self.register_buffer("position", tt.tensor(0))

    def parameters_and_caches(self) -> list[Any]:
        return [
            t for layer in self.layers for t in (layer.project.weight, layer.project.bias, layer.keys, layer.values)
        ]

    def forward(self, x: Any) -> Any:
        x = self.at(x, self.position)
        self.position += x.shape[1]
        return x

    def at(self, x: Any, position: Any) -> Any:
        for layer in self.layers:
            x = layer(x, position)
        return x


def twin_of(model: Decoder) -> Decoder:
    twin = Decoder(len(model.layers), model.layers[0].keys.shape[2])
    with tt.no_grad():
        for mine, other in zip(twin.parameters_and_caches(), model.parameters_and_caches(), strict=True):
            mine.copy_(other)
    return twin


def by_torch(model: Decoder, xs: list[Array]) -> list[Array]:
    """The same without a cache: each step attends to all that came before."""
    torch = pytest.importorskip("torch")
    h = torch.tensor(np.concatenate(xs, 1))
    for layer in model.layers:
        batch, count, width = h.shape
        weight, bias = (torch.tensor(t.numpy()) for t in (layer.project.weight, layer.project.bias))
        q, k, v = (h @ weight.T + bias).reshape(batch, count, 3, layer.heads, layer.head).permute(2, 0, 3, 1, 4)
        made = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + made.transpose(1, 2).reshape(batch, count, width)
    ends = np.cumsum([x.shape[1] for x in xs])[:-1]
    return np.split(h.numpy(), ends, 1)


def prompt_and_tokens() -> list[Array]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=(2, count, 12)).astype(np.float32) for count in (5, *[1] * 7)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_decoder_whose_position_is_a_buffer(backend: str) -> None:
    model = Decoder(3, 12)
    eager, xs = twin_of(model), prompt_and_tokens()
    step = tt.compile(model, backend=backend)
    graphs: set[int] = set()
    with tt.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        for x in xs:
            found, wanted = step(tt.Tensor(x)), eager(tt.Tensor(x))
            graphs.add(id(step.traced_graph))
            np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-5, atol=1e-6)
            for mine, other in zip(model.parameters_and_caches(), eager.parameters_and_caches(), strict=True):
                np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)
        assert model.position.item() == 12 and len(graphs) == 2  # of the prompt, and of a token
        kept = [t.numpy().copy() for t in model.parameters_and_caches()]
        with pytest.raises(IndexError, match=r"1 elements from 12 on .*\n.*self\.keys\[:, :, position"):
            step(tt.Tensor(xs[-1]))
    assert model.position.item() == 12
    for mine, other in zip(model.parameters_and_caches(), kept, strict=True):
        np.testing.assert_array_equal(mine.numpy(), other)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_decoder_whose_position_is_a_number(backend: str) -> None:
    model = Decoder(2, 12)
    xs, eager = prompt_and_tokens(), twin_of(model)
    step = tt.compile(lambda x, position: model.at(x, position), backend=backend)
    graphs: list[int] = []
    with tt.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        for x, position in zip(xs, [0, *range(5, 12)], strict=True):
            found, wanted = step(tt.Tensor(x), position), eager.at(tt.Tensor(x), position)
            graphs.append(id(step.traced_graph))
            np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-5, atol=1e-6)
    assert len(set(graphs)) == 2  # of the prompt at a number that is static, and of a token at any


def test_a_decoder_agrees_with_torch() -> None:
    model, xs = Decoder(3, 16), prompt_and_tokens()
    step = tt.compile(model)
    with tt.no_grad():
        found = [step(tt.Tensor(x)).numpy() for x in xs]
    for mine, other in zip(found, by_torch(model, xs), strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-5, atol=2e-6)


def test_a_step_of_a_decoder_copies_no_cache() -> None:
    """Neither a kernel nor a buffer of the arena is as large as a cache, and nothing but updates writes into one."""
    model = Decoder(3, 4096)
    step = tt.compile(model)
    with tt.no_grad():
        step(tt.ones(2, 1, 12))
    plan, cache = plan_of_compiled(step), model.layers[0].keys.type.bytes
    scores = 2 * 3 * 4096 * 4  # bytes, of one layer and token: a quarter of a cache
    assert written_in_place(plan) == [True] * 6
    assert largest_written(plan) <= scores and plan.arena_bytes < cache


def test_the_report_of_a_step_counts_what_is_moved() -> None:
    """The update, and not the cache."""
    cache = tt.zeros(4, 1 << 16, 8)

    @tt.compile
    def step(t: Any, u: Any) -> Any:
        cache[:, t : t + 2] = u
        return cache.narrow(1, t, 3).sum()

    step(tt.tensor(3), tt.ones(4, 2, 8))
    report = {kernel.title: kernel for kernel in step.explain(measure=True).kernels}
    write, read = report["update_slice"], report["dynamic_slice"]
    assert write.bytes_written == 4 * 2 * 8 * 4 and write.bytes_read == write.bytes_written + 8
    assert read.bytes_written == 4 * 3 * 8 * 4 and read.bytes_read == read.bytes_written + 8

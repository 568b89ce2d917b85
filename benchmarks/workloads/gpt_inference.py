"""Inference of a small GPT at batch 1: a sequence of 256 tokens at once, and token after token from a cache.

Decoding goes on greedily behind a prompt of 16 tokens, whose keys and values are there when the clock starts; the time
is that of one token. A token is the largest logit of the one before, so the contestants must produce the same text.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.allocator import keep_freed_memory
from benchmarks.registry import Case, Targets, Workload, register
from benchmarks.workloads.gpt import jax_logits, tinytorch_model, torch_logits
from benchmarks.workloads.gpt_shapes import BASE, EPS, Shape, batches, parameters
from benchmarks.workloads.onnx_models import (
    attention_nodes,
    model_of,
    openvino_of,
    openvino_request,
    session,
    session_of,
)

Array = NDArray[Any]
PROMPT, PRODUCED = 16, 128
LENGTH = PROMPT + PRODUCED  # of the cache


def sequence(shape: Shape) -> Array:
    return batches(shape)[0][0][:1]


@functools.cache
def weights_of(shape: Shape) -> dict[str, Array]:
    """Those that training starts from, with embeddings so large that the text is not one token again and again."""
    return {name: w * np.float32(20 if name in ("tokens", "positions") else 1) for name, w in parameters(shape).items()}


# ---- TinyTorch ----------------------------------------------------------------------------------------------


def tinytorch_prefill(shape: Shape, compiled: bool = True) -> Case:
    """The weights are constants of the compiled graph, as for the peers."""
    import tinytorch as tt

    model = tinytorch_model(shape, weights_of(shape)).eval()
    forward = tt.compile(model, freeze=True) if compiled else model
    tokens = tt.Tensor(sequence(shape))

    def step() -> Any:
        with tt.no_grad():
            return forward(tokens)

    return Case(step, lambda: {"logits": step().numpy()})


def tinytorch_decode(shape: Shape, compiled: bool = True) -> Case:
    """Cache and token are state, so a step has no arguments."""
    import tinytorch as tt

    model = tinytorch_model(shape, weights_of(shape)).eval()
    cache = tt.KVCache(1, LENGTH, shape.layers, shape.width, shape.heads)
    token, logits = tt.zeros(1, 1, dtype=tt.i64), tt.zeros(1, shape.vocab)

    def decode() -> None:
        logits.copy_(model(token, cache=cache)[:, -1])
        token.copy_(logits.argmax(-1, keepdim=True))

    step = tt.compile(decode) if compiled else decode
    text: list[int] = []
    with tt.no_grad():
        for t in sequence(shape)[0, :PROMPT]:
            token.fill_(int(t))
            step()
    first = token.item()

    def run() -> None:
        text.clear()
        cache.truncate(PROMPT)
        token.fill_(first)
        with tt.no_grad():
            for _ in range(PRODUCED):
                step()
                text.append(token.item())

    return Case(run, lambda: {"text": np.array(text), "logits": logits.numpy().copy()}, units=PRODUCED)


# ---- torch --------------------------------------------------------------------------------------------------


def _torch_weights(shape: Shape) -> dict[str, Any]:
    import torch

    keep_freed_memory()
    torch.compiler.reset()
    return {name: torch.tensor(value) for name, value in weights_of(shape).items()}


def torch_prefill(shape: Shape, compiled: bool = False) -> Case:
    """Compiled: with weights that are constants (`freezing`)."""
    import torch

    start = _torch_weights(shape)
    names = [(name, name.replace(".", "_")) for name in start]

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, w in start.items():
                self.register_buffer(name.replace(".", "_"), w)

        def forward(self, tokens: Any) -> Any:
            return torch_logits({name: getattr(self, attribute) for name, attribute in names}, tokens, shape)

    model = Model().eval()
    if compiled:
        model = torch.compile(model, fullgraph=True, options={"freezing": True})
    tokens = torch.from_numpy(sequence(shape))

    def step() -> Any:
        with torch.no_grad():
            return model(tokens)

    return Case(step, lambda: {"logits": step().numpy()})


def torch_decode(shape: Shape, compiled: bool = False) -> Case:
    """Eager mode reads the part of the cache that is filled; compiled code all of it, so that it compiles once."""
    import torch
    import torch.nn.functional as F

    w = _torch_weights(shape)
    keys, values = (
        [torch.zeros(1, shape.heads, LENGTH, shape.head_width) for _ in range(shape.layers)] for _ in range(2)
    )

    def norm(x: Any, name: str) -> Any:
        return F.layer_norm(x, (shape.width,), w[f"{name}.gain"], w[f"{name}.bias"], EPS)

    def linear(x: Any, name: str) -> Any:
        return F.linear(x, w[name], w[f"{name}.bias"])

    def decode(token: Any, position: Any, place: Any) -> Any:
        """`place` is the position as a number for eager mode, or a mask."""
        x = w["tokens"][token] + w["positions"][position]
        for i in range(shape.layers):
            qkv = linear(norm(x, f"{i}.norm1"), f"{i}.qkv").view(3, 1, shape.heads, 1, shape.head_width)
            keys[i].index_copy_(2, position, qkv[1])
            values[i].index_copy_(2, position, qkv[2])
            if compiled:
                y = F.scaled_dot_product_attention(qkv[0], keys[i], values[i], attn_mask=place)
            else:
                y = F.scaled_dot_product_attention(qkv[0], keys[i][:, :, : place + 1], values[i][:, :, : place + 1])
            x = x + linear(y.reshape(1, shape.width), f"{i}.projection")
            hidden = F.gelu(linear(norm(x, f"{i}.norm2"), f"{i}.up"), approximate="tanh")
            x = x + linear(hidden, f"{i}.down")
        logits = F.linear(norm(x, "norm"), w["head"])
        return logits.argmax(-1), logits

    step = torch.compile(decode, fullgraph=True, options={"cpp_wrapper": True}) if compiled else decode
    positions = list(torch.arange(LENGTH)[:, None])
    places = list(torch.tril(torch.ones(LENGTH, LENGTH, dtype=torch.bool))[:, None]) if compiled else range(LENGTH)
    logits: Any = None
    text: list[Any] = []
    first: Any = None
    with torch.no_grad():
        for p, t in enumerate(torch.from_numpy(sequence(shape)[0, :PROMPT, None])):
            first, logits = step(t, positions[p], places[p])
        first = first.clone()

    def run() -> None:
        nonlocal logits
        text.clear()
        token = first
        with torch.no_grad():
            for p in range(PROMPT, LENGTH):
                token, logits = step(token, positions[p], places[p])
                text.append(int(token))

    return Case(run, lambda: {"text": np.array(text), "logits": logits.numpy()}, units=PRODUCED)


# ---- jax ----------------------------------------------------------------------------------------------------


def jax_prefill(shape: Shape) -> Case:
    import jax
    import jax.numpy as jnp

    keep_freed_memory()
    w = {name: jnp.array(value) for name, value in weights_of(shape).items()}
    forward = jax.jit(lambda tokens: jax_logits(w, tokens, shape))
    tokens = jnp.asarray(sequence(shape))
    return Case(lambda: forward(tokens).block_until_ready(), lambda: {"logits": np.asarray(forward(tokens))})


def jax_decode(shape: Shape) -> Case:
    import jax
    import jax.numpy as jnp

    keep_freed_memory()
    w = {name: jnp.array(value) for name, value in weights_of(shape).items()}

    def norm(x: Any, name: str) -> Any:
        centred = x - x.mean()
        return centred * jax.lax.rsqrt((centred * centred).mean() + EPS) * w[f"{name}.gain"] + w[f"{name}.bias"]

    def linear(x: Any, name: str) -> Any:
        return w[name] @ x + w[f"{name}.bias"]

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(keys: Any, values: Any, token: Any, position: Any) -> Any:
        x = w["tokens"][token] + w["positions"][position]
        seen = jnp.arange(LENGTH) <= position
        keys, values = list(keys), list(values)
        for i in range(shape.layers):
            q, k, v = linear(norm(x, f"{i}.norm1"), f"{i}.qkv").reshape(3, shape.heads, shape.head_width)
            keys[i] = keys[i].at[:, position].set(k)
            values[i] = values[i].at[:, position].set(v)
            scores = jnp.einsum("hd,htd->ht", q, keys[i]) * shape.head_width**-0.5
            weights = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), axis=-1)
            x = x + linear(jnp.einsum("ht,htd->hd", weights, values[i]).reshape(-1), f"{i}.projection")
            x = x + linear(jax.nn.gelu(linear(norm(x, f"{i}.norm2"), f"{i}.up"), approximate=True), f"{i}.down")
        logits = w["head"] @ norm(x, "norm")
        return keys, values, logits.argmax(), position + 1, logits

    empty = [jnp.zeros((shape.heads, LENGTH, shape.head_width)) for _ in range(shape.layers)]
    state: list[Any] = [empty, [jnp.zeros_like(k) for k in empty], None, jnp.int32(0), None]
    for t in sequence(shape)[0, :PROMPT]:
        state = list(step(state[0], state[1], jnp.asarray(t), state[3]))
    first = state[2], state[3]
    text: list[Any] = []

    def run() -> None:
        text.clear()
        state[2:4] = first
        for _ in range(PRODUCED):
            state[:] = step(*state[:4])
            text.append(state[2])
        jax.block_until_ready(state[4])

    return Case(run, lambda: {"text": np.array(text), "logits": np.asarray(state[4])[None]}, units=PRODUCED)


# ---- ONNX Runtime and OpenVINO ------------------------------------------------------------------------------


class _Network:
    """The nodes of a GPT, written one after the other; `constants` are its weights, matrices as [in, out]."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.nodes: list[Any] = []
        matrices = {"tokens", "positions"}
        self.constants = {
            name: value if value.ndim == 1 or name in matrices else np.ascontiguousarray(value.T)
            for name, value in weights_of(shape).items()
        }

    def add(self, op: str, inputs: list[str], result: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(op, inputs, [result], **attributes))
        return result

    def integers(self, *values: int) -> str:
        name = "i" + "_".join(map(str, values))
        self.constants[name] = np.array(values, np.int64)
        return name

    def norm(self, x: str, name: str) -> str:
        parts = [x, f"{name}.gain", f"{name}.bias"]
        return self.add("LayerNormalization", parts, f"{name}.y", axis=-1, epsilon=EPS)

    def linear(self, x: str, name: str) -> str:
        return self.add("Add", [self.add("MatMul", [x, name], f"{name}.product"), f"{name}.bias"], f"{name}.y")

    def heads(self, x: str, i: int) -> list[str]:
        """q, k and v [batch, heads, length, head width] of the input of block i."""
        shape = self.shape
        qkv = self.linear(self.norm(x, f"{i}.norm1"), f"{i}.qkv")
        split = self.add("Reshape", [qkv, self.integers(1, -1, 3, shape.heads, shape.head_width)], f"{i}.split")
        order = self.add("Transpose", [split], f"{i}.order", perm=(2, 0, 3, 1, 4))
        return [
            self.add("Gather", [order, self.index(n)], f"{i}.{part}", axis=0) for n, part in enumerate(("q", "k", "v"))
        ]

    def index(self, n: int) -> str:
        self.constants[f"n{n}"] = np.array(n, np.int64)
        return f"n{n}"

    def behind(self, x: str, y: str, i: int) -> str:
        """The result of block i, of its input and its attention [batch, heads, length, head width]."""
        rows = self.add("Transpose", [y], f"{i}.rows", perm=(0, 2, 1, 3))
        joined = self.add("Reshape", [rows, self.integers(1, -1, self.shape.width)], f"{i}.joined")
        x = self.add("Add", [x, self.linear(joined, f"{i}.projection")], f"{i}.middle")
        hidden = self.linear(self.norm(x, f"{i}.norm2"), f"{i}.up")
        active = self.add("Gelu", [hidden], f"{i}.active", approximate="tanh")
        return self.add("Add", [x, self.linear(active, f"{i}.down")], f"{i}.end")


def onnx_prefill(shape: Shape, run_of: Callable[..., Callable[[], Array]]) -> Case:
    tokens = sequence(shape)
    length = tokens.shape[1]
    net = _Network(shape)
    net.constants["positions"] = net.constants["positions"][:length]
    x = net.add("Add", [net.add("Gather", ["tokens", "x"], "embedded"), "positions"], "start")
    for i in range(shape.layers):
        q, k, v = net.heads(x, i)
        nodes, constants = attention_nodes(q, k, v, f"{i}.attention", length, shape.head_width)
        net.nodes += nodes
        net.constants |= constants
        x = net.behind(x, f"{i}.attention", i)
    net.add("MatMul", [net.norm(x, "norm"), "head"], "y")
    run = run_of(net.nodes, {"x": tokens}, (1, length, shape.vocab), net.constants)
    return Case(run, lambda: {"logits": run()})


def decoder(shape: Shape) -> bytes:
    """A model of one token: `token` and `position` [1] and the keys and values before, to logits and those with it."""
    net = _Network(shape)
    x = net.add(
        "Add", [net.add("Gather", ["tokens", "token"], "t"), net.add("Gather", ["positions", "position"], "p")], "tp"
    )
    x = net.add("Unsqueeze", [x, net.integers(0)], "start")
    net.constants["root"] = np.array(shape.head_width**-0.5, np.float32)
    for i in range(shape.layers):
        q, k, v = net.heads(x, i)
        k = net.add("Concat", [f"past.k{i}", k], f"new.k{i}", axis=2)
        v = net.add("Concat", [f"past.v{i}", v], f"new.v{i}", axis=2)
        across = net.add("Transpose", [k], f"{i}.across", perm=(0, 1, 3, 2))
        scores = net.add("MatMul", [net.add("Mul", [q, "root"], f"{i}.scaled"), across], f"{i}.scores")
        weights = net.add("Softmax", [scores], f"{i}.weights", axis=-1)
        x = net.behind(x, net.add("MatMul", [weights, v], f"{i}.attention"), i)
    net.add("MatMul", [net.norm(x, "norm"), "head"], "y")
    cache = [1, shape.heads, "past", shape.head_width]
    new = [1, shape.heads, "all", shape.head_width]
    names = [f"{part}{i}" for i in range(shape.layers) for part in ("k", "v")]
    inputs: dict[str, Any] = {"token": (np.int64, [1]), "position": (np.int64, [1])}
    inputs |= {f"past.{name}": (np.float32, cache) for name in names}
    outputs: dict[str, Any] = {"y": [1, 1, shape.vocab], **{f"new.{name}": new for name in names}}
    return model_of(net.nodes, inputs, outputs, net.constants)


def _greedy(shape: Shape, step: Callable[[int, int], Array], restart: Callable[[], None]) -> Case:
    """Decoding with `step(token, position)`, which gives logits; `restart` puts the prompt's keys and values back."""
    text: list[int] = []
    logits = np.empty((1, shape.vocab), np.float32)
    token = 0
    for p, t in enumerate(sequence(shape)[0, :PROMPT]):
        token = int(step(int(t), p).argmax())
    first = token

    def run() -> None:
        nonlocal logits
        restart()
        text.clear()
        token = first
        for p in range(PROMPT, LENGTH):
            logits = step(token, p)
            token = int(logits.argmax())
            text.append(token)

    return Case(run, lambda: {"text": np.array(text), "logits": logits.reshape(1, -1).copy()}, units=PRODUCED)


def onnxruntime_decode(shape: Shape) -> Case:
    """Keys and values stay values of ONNX Runtime, which makes them anew for each token."""
    import onnxruntime

    made = session(decoder(shape))
    names = [f"{part}{i}" for i in range(shape.layers) for part in ("k", "v")]
    empty = np.zeros((1, shape.heads, 0, shape.head_width), np.float32)
    now = {name: onnxruntime.OrtValue.ortvalue_from_numpy(empty) for name in names}
    prompt: dict[str, Any] = {}
    token, position = np.zeros(1, np.int64), np.zeros(1, np.int64)

    def step(t: int, p: int) -> Array:
        token[0], position[0] = t, p
        if p == PROMPT and not prompt:
            prompt.update(now)
        binding = made.io_binding()
        binding.bind_cpu_input("token", token)
        binding.bind_cpu_input("position", position)
        for name, value in now.items():
            binding.bind_ortvalue_input(f"past.{name}", value)
        for name in ("y", *(f"new.{name}" for name in names)):
            binding.bind_output(name)
        made.run_with_iobinding(binding)
        logits, *new = binding.get_outputs()
        now.update(zip(names, new, strict=True))
        return logits.numpy()

    return _greedy(shape, step, lambda: now.update(prompt))


def openvino_decode(shape: Shape) -> Case:
    """Keys and values are state of the model."""
    import openvino

    names = [f"{part}{i}" for i in range(shape.layers) for part in ("k", "v")]
    request = openvino_request(decoder(shape), {f"past.{name}": f"new.{name}" for name in names})
    token, position = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for name, array in (("token", token), ("position", position)):
        request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
    prompt: dict[str, Array] = {}

    def restart() -> None:
        for state in request.query_state():
            if len(prompt) < len(names):
                prompt[state.name] = state.state.data.copy()
            state.state = openvino.Tensor(prompt[state.name])

    def step(t: int, p: int) -> Array:
        token[0], position[0] = t, p
        request.infer()
        return request.get_tensor("y").data

    for state in request.query_state():
        state.state = openvino.Tensor(np.zeros((1, shape.heads, 0, shape.head_width), np.float32))
    return _greedy(shape, step, restart)


# ---- rows ---------------------------------------------------------------------------------------------------


def _builders(ours: Any, torch: Any, jax: Any, onnxruntime: Any, openvino: Any) -> Mapping[str, Callable[[], Case]]:
    return {
        "tinytorch": functools.partial(ours, BASE),
        "tinytorch eager": functools.partial(ours, BASE, False),
        "torch": functools.partial(torch, BASE),
        "torch.compile": functools.partial(torch, BASE, True),
        "jax": functools.partial(jax, BASE),
        "onnxruntime": functools.partial(onnxruntime, BASE),
        "openvino": functools.partial(openvino, BASE),
    }


register(
    Workload(
        "gpt_base_prefill",
        _builders(
            tinytorch_prefill,
            torch_prefill,
            jax_prefill,
            functools.partial(onnx_prefill, run_of=session_of),
            functools.partial(onnx_prefill, run_of=openvino_of),
        ),
        flops=BASE.forward_flops(BASE.context),
        limit="fma",
        prepare=lambda: (weights_of(BASE), batches(BASE)),
        suites=("language",),
        targets=Targets(best=1.2),
    )
)
register(
    Workload(
        "gpt_base_decode",
        _builders(tinytorch_decode, torch_decode, jax_decode, onnxruntime_decode, openvino_decode),
        bytes=4.0 * BASE.matrices,
        limit="read",
        prepare=lambda: (weights_of(BASE), batches(BASE)),
        suites=("language",),
        targets=Targets(best=1.3, limit=0.8),
    )
)

"""Compiled functions in files: what comes back, and what damaged and hostile files give."""

from __future__ import annotations

import copy
import io
import json
import random
import re
import subprocess
import sys
from collections import OrderedDict, namedtuple
from pathlib import Path

import numpy as np
import pytest

import tinytorch as tt
from tinytorch import nn
from tinytorch.frontend.module.weights import read_safetensors, save_safetensors
from tinytorch.ir.errors import CompileError, TinyTorchError, TraceError


def again(compiled, path):
    tt.save(compiled, path)
    return tt.load(path)


def alike(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b) and all(alike(*pair) for pair in zip(a, b, strict=True))
    elif isinstance(a, tt.Tensor):
        assert a.type == b.type and a.numpy().tobytes() == b.numpy().tobytes()
    else:
        assert a == b
    return True


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.tt"


def network():
    tt.manual_seed(3)
    return nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.4), nn.Linear(5, 3))


# What comes back.
@pytest.mark.parametrize("freeze", [False, True])
@pytest.mark.parametrize("backend", ["llvm", "interpreter"])
def test_a_model_comes_back_with_its_signatures(path, freeze, backend):
    model = network().eval()
    compiled = tt.compile(model, freeze=freeze, backend=backend)
    batches = [tt.randn(n, 7) for n in (1, 4)]
    with tt.no_grad():
        wanted = [compiled(x) for x in batches]
    loaded = again(compiled, path)
    assert [loaded(x).numpy().tolist() for x in batches] == [y.numpy().tolist() for y in wanted]
    assert loaded.signatures == ("f32[1,7]", "f32[4,7]") and loaded.graph.nodes
    assert loaded.executable is not None and "LoadedFunction Sequential" in repr(loaded)
    assert set(loaded.state_dict()) == {k for k in model.state_dict() if "tracked" not in k}
    assert set(tt.load_safetensors(path)) == set(loaded.state_dict())  # for any program
    with pytest.raises(TinyTorchError, match=r"saved for other arguments than \(f32\[2,7\]\):\n  \(f32\[1,7\]\)"):
        loaded(tt.randn(2, 7))


def test_state_goes_on_and_is_saved_again(path):
    model = network()  # in training mode: batch statistics, and dropout from a generator
    compiled = tt.compile(model)
    x = tt.randn(6, 7)
    with tt.no_grad():
        compiled(x)
        loaded = again(compiled, path)
        for _ in range(2):
            alike(loaded(x), compiled(x))
        twice, other = again(loaded, path), copy.deepcopy(loaded)
        wanted = compiled(x)
        alike(twice(x), wanted)
        alike(other(x), wanted)
    assert twice.state_dict()["1.num_batches_tracked"].item() == 4 and model[1].num_batches_tracked.item() == 4


def test_a_training_step_goes_on(path):
    model, x, y = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 2)), tt.randn(8, 4), tt.tensor([0, 1] * 4)
    optimizer = tt.AdamW(model.parameters(), lr=0.05)

    @tt.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    first = step(x, y).item()
    loaded = again(step, path)
    losses = [loaded(x, y).item() for _ in range(5)]
    assert losses == [step(x, y).item() for _ in range(5)] and losses[-1] < first


def test_a_recurrent_training_step_goes_on_and_is_drawn(path):
    model, x = nn.LSTM(3, 4, batch_first=True), tt.randn(2, 5, 3)
    optimizer = tt.SGD(model.parameters(), lr=0.1)

    @tt.compile
    def step(x):
        optimizer.zero_grad()
        loss = model(x)[0].square().mean()
        loss.backward()
        optimizer.step()
        return loss

    step(x)
    loaded = again(step, path)
    assert loaded(x).item() == step(x).item()
    drawn = loaded._repr_svg_()
    assert "lstm, " in drawn and "SGD" in drawn and "test_files.py:" in drawn


def test_a_cache_of_keys_and_values_is_kept(path):
    tt.manual_seed(1)
    model = tt.GPT(vocab_size=11, embed_dim=8, num_layers=2, num_heads=2, context_length=16).eval()
    cache = tt.KVCache(1, 16, 2, 8)

    @tt.compile
    def decode(token):
        return model(token, cache=cache)

    with tt.no_grad():
        for token in (3, 5):
            decode(tt.tensor([[token]]))
        loaded = again(decode, path)
        for token in (1, 2, 4):
            alike(loaded(tt.tensor([[token]])), decode(tt.tensor([[token]])))
    assert int(cache.positions.numpy()[0]) == 5
    with pytest.raises(TinyTorchError, match=r"called with what a file cannot hold.*is a KVCache"):
        given = tt.compile(lambda token, cache: model(token, cache=cache))
        with tt.no_grad():
            given(tt.tensor([[1]]), cache)
        tt.save(given, path)


def test_containers_numbers_views_and_both_modes(path):
    table = tt.arange(12.0).reshape(3, 4)
    big = np.arange(4000, dtype=np.float32)

    @tt.compile
    def f(pair, *, scale=1.0, options=None):
        a, b = pair["a"], pair["b"]
        table.add_(1)
        rows = (a * scale + b).reshape(2, 2)
        flag = tt.is_grad_enabled()
        return {"rows": (rows, rows.T, [table[1:, ::2]]), "flag": flag, "n": 3, "x": a, "inf": float("inf")}, (
            rows.sum() + tt.tensor(big)[5]
        )

    def arguments():
        return {"a": tt.arange(4.0), "b": np.ones(4, np.float32)}

    f(arguments(), scale=2.0, options=(1, "x", None))
    f(arguments(), scale=3.0, options=(1, "x", None))  # now an input
    with tt.no_grad():
        f(arguments(), scale=4.0, options=(1, "x", None))
    loaded = again(f, path)
    for mode in (tt.no_grad, tt.enable_grad):
        with mode():
            given = arguments()
            a = loaded(given, scale=0.5, options=(1, "x", None))
            alike(a, f(arguments(), scale=0.5, options=(1, "x", None)))
            assert a[0]["x"] is given["a"] and a[0]["flag"] is (mode is tt.enable_grad)
    view = a[0]["rows"][2][0]  # of state, as it was
    loaded(arguments(), scale=0.5, options=(1, "x", None))
    assert view[0, 0].item() == table[1, 0].item() + 1
    with pytest.raises(TinyTorchError, match="saved for other arguments"):
        loaded({"a": 1.0, "b": "x"}, scale=0.5, options=(1, "x", None))
    for wrong in ((1.0, "x", None), (1, "y", None), [1, "x", None]):
        with pytest.raises(TinyTorchError, match="saved for other arguments"):
            loaded(arguments(), scale=0.5, options=wrong)


def test_named_tuples_of_this_package(path):
    f = tt.compile(lambda x: OrderedDict(largest=x.max(dim=1), ends=(x.topk(2), tt.aminmax(x))))
    x = tt.randn(3, 5)
    wanted = f(x)
    found = again(f, path)(x)
    alike(found, wanted)
    assert found["largest"].indices.shape == (3,)
    pair = namedtuple("pair", "a b")
    g = tt.compile(lambda x: pair(x, x + 1))
    g(x)
    with pytest.raises(TinyTorchError, match="returns what a file cannot hold: a pair, which is Python's"):
        tt.save(g, path)


def test_integers_and_user_functions(path):
    class Twice(tt.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    weight = tt.randint(-100, 100, (40, 16)).to(tt.i8)  # large enough to be a tensor of the file

    @tt.compile
    def f(x, i):
        y = Twice.apply(x).round().clamp(0, 255).to(tt.u8)
        return y.matmul(weight.detach(), dtype="i32")[i]

    x = tt.rand(3, 40) * 100
    wanted = f(x, tt.tensor([2, 0]))
    loaded = again(f, path)
    alike(loaded(x, tt.tensor([2, 0])), wanted)
    with pytest.raises(IndexError) as error:
        loaded(x, tt.tensor([3, 0]))
    assert "test_files.py" in str(error.value)
    assert str(Path(__file__).parent) not in path.read_bytes().decode(errors="replace")  # no folders of the user's


def test_open_files_and_another_process(path):
    compiled = tt.compile(lambda x: (x @ x.T).softmax(-1))
    x = tt.arange(12.0).reshape(3, 4) / 7
    wanted = compiled(x)
    file = io.BytesIO()
    tt.save(compiled, file)
    file.seek(0)
    alike(tt.load(file)(x), wanted)
    path.write_bytes(file.getvalue())
    code = f"import tinytorch as tt; print(tt.load({str(path)!r})(tt.arange(12.0).reshape(3, 4) / 7).numpy().tobytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == repr(wanted.numpy().tobytes())


def test_only_what_is_up_to_date_is_saved(path):
    model = network()
    compiled = tt.compile(model)
    x = tt.randn(4, 7)
    with tt.no_grad():
        compiled(x)
        model.eval()
        wanted = compiled(x)
        loaded = again(compiled, path)
        assert len(loaded.signatures) == 1
        alike(loaded(x), wanted)
        model.train()
        with pytest.raises(TinyTorchError, match="gives no gradients"), tt.enable_grad():
            loaded(tt.randn(4, 7, requires_grad=True))
    with pytest.raises(TraceError, match="loaded from a file and cannot be traced"):
        tt.compile(lambda x: loaded(x))(x)


# What cannot be saved.
def test_what_cannot_be_saved_says_why(path):
    with pytest.raises(CompileError, match="has not been called yet; call it with example inputs"):
        tt.save(tt.compile(network()), path)
    model = nn.Linear(2, 2)
    leaves = tt.compile(lambda x: model(x).sum().backward())
    leaves(tt.ones(1, 2))
    with pytest.raises(TinyTorchError, match=r"leaves gradients in \.grad"):
        tt.save(leaves, path)
    memory = np.zeros(4, np.float32)
    a, b = tt.from_numpy(memory), tt.from_numpy(memory[1:])
    twice = tt.compile(lambda x, y: x - y)
    x, y = tt.ones(2), tt.zeros(2)
    twice(x, y)
    assert again(twice, path)(x, x).tolist() == [0, 0]
    path.unlink()
    apart = tt.compile(lambda x, y: x.add_(y))
    apart(x, y)
    with pytest.raises(TinyTorchError, match=r"\(f32\[2\], f32\[2\]\):\n.*\nHow tensors lie .* one and the same"):
        again(apart, path.parent / "apart")(x, x)
    both = tt.compile(lambda x, change: a.add_(x) if change else b + x)
    both(tt.tensor(1.0), False)
    tt.save(both, path.parent / "reads")
    with pytest.raises(TinyTorchError, match="cannot write"):
        tt.save(both, path / "no")
    both(tt.tensor(1.0), True)
    with pytest.raises(TinyTorchError, match=r"shares memory with .*in a file they would be two tensors"):
        tt.save(both, path)
    assert not path.exists()


# Damaged and hostile files.
@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small file with state, views, a constant and numbers, and its bytes."""
    path = tmp_path_factory.mktemp("small") / "f.tt"
    state, weight = tt.zeros(2, 2), tt.arange(600.0)

    @tt.compile
    def f(x, n):
        state.add_(x[n])
        return {"y": (x * 2).sum(0), "s": state[0]}, (x.reshape(-1)[0] + weight[5]).exp()

    for n in (0, 1, 1):
        f(tt.ones(3, 2, 2), n)
    tt.save(f, path)
    assert tt.load(path)(tt.ones(3, 2, 2), 1)[0]["y"].shape == (2, 2)
    return path.read_bytes()


def test_every_cut_and_flipped_byte_is_an_error(small, path):
    draw = random.Random(5)
    cuts = [small[:n] for n in draw.sample(range(len(small)), 60)]
    flips = [small[:n] + bytes([small[n] ^ 1 << draw.randrange(8)]) + small[n + 1 :] for n in range(0, len(small), 37)]
    for damaged in [*cuts, *flips, small + b"x", b"", b"\x7fELF" + small]:
        path.write_bytes(damaged)
        with pytest.raises(TinyTorchError, match=re.escape(str(path))):
            tt.load(path)


def parts(small, path):
    path.write_bytes(small)
    return read_safetensors(path)


def test_hostile_text_under_a_right_checksum(small, path):
    """Whoever can write the checksum can write anything: loading and calling then gives an error in words, or runs."""
    tensors, metadata = parts(small, path)
    draw = random.Random(7)
    pieces = ["0", "9" * 30, "-1", "%x", "null", "{", "[]", "f32[4]", "i64[]", "kernel", "add", "(", '"', "=> %x"]
    refused = 0
    for _ in range(100):
        changed = dict(metadata)
        key = draw.choice([k for k in changed if k != "tinytorch.checksum"])
        words = re.split(r"(\W+)", changed[key])
        for _ in range(draw.randint(1, 2)):
            words[draw.randrange(len(words))] = draw.choice([*pieces, *words])
        changed[key] = "".join(words)
        del changed["tinytorch.checksum"]
        save_safetensors(tensors, path, changed)
        try:
            loaded = tt.load(path)
            if loaded.signatures == ("f32[3,2,2], any int",):
                loaded(tt.ones(3, 2, 2), 1)
        except (TinyTorchError, IndexError):
            refused += 1
    assert refused > 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(version=2), "newer TinyTorch; this one reads up to 1"),
        (lambda d: d.update(version="1"), "version '1' is none"),
        (lambda d: d.update(calls=[]), "no signatures"),
        (lambda d: d.update(backend="os.system"), "backend is 'os.system'"),
        (lambda d: d["calls"][0]["captured"].pop(), "inputs|do not fit|stands for"),
        (lambda d: d["calls"][0]["captured"].__setitem__(0, "gone"), "tensor 'gone' is missing"),
        (lambda d: d["calls"][0].update(arguments={"tuple": []}), "arguments do not fit"),
        (lambda d: d["calls"][0]["results"][0].__setitem__(0, 99), "neither an input nor an output"),
        (lambda d: d["calls"][0].update(result={"slot": 7}), "slot 7 of 3"),
        (lambda d: d["calls"][0].pop("grad"), "'grad'"),
        (lambda d: d["calls"][0].update(result={"pickle": "x"}), "pickle"),
        (lambda d: d["calls"][0]["results"][1].__setitem__(1, "graph @v(%x: f32[9]) -> (%x) {}"), "views of"),
    ],
)
def test_wrong_descriptions_are_named(small, path, change, message):
    tensors, metadata = parts(small, path)
    description = json.loads(metadata["tinytorch.artifact"])
    change(description)
    metadata = {k: v for k, v in metadata.items() if k != "tinytorch.checksum"}
    save_safetensors(tensors, path, {**metadata, "tinytorch.artifact": json.dumps(description)})
    with pytest.raises(TinyTorchError, match=message) as error:
        tt.load(path)
    assert str(path) in str(error.value)


def test_foreign_files(small, path):
    tensors, metadata = parts(small, path)
    import safetensors.numpy

    arrays = {name: t.numpy() for name, t in tensors.items()}
    unsummed = {k: v for k, v in metadata.items() if k != "tinytorch.checksum"}
    safetensors.numpy.save_file(arrays, path, unsummed)
    with pytest.raises(TinyTorchError, match="has lost its checksum"):
        tt.load(path)
    body = "graph @b() -> (%0) { %0 = constant() : f32[1] {value=f32[1](1.0)} }"
    kernels = f"graph @f() -> (%0) {{ %0 = kernel() : f32[1] {{family='loop', body={body}}} }}"
    folder = metadata["tinytorch.graph.0"].replace("'test_files.py'", "'/etc/passwd'")
    for text, message in ((kernels, "a graph of kernels"), (folder, "a line in a file of some folder")):
        save_safetensors(tensors, path, {**unsummed, "tinytorch.graph.0": text})
        with pytest.raises(TinyTorchError, match=message):
            tt.load(path)
    (path.parent / "text").write_text("no safetensors")
    with pytest.raises(TinyTorchError, match="not a whole safetensors file"):
        tt.load(path.parent / "text")
    tt.save({"a": 1}, path)
    assert tt.load(path) == {"a": 1}

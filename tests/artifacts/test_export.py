"""Object files for C: the same bits as compiled calls, on any number of threads, and clear errors."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tinytorch as tt
from tests.artifacts.objects import ALLOWED, Linked, aligned, symbols
from tinytorch import nn
from tinytorch.ir.errors import CompileError, TinyTorchError
from tinytorch.runtime.llvm.backend import LlvmBackend
from tinytorch.runtime.llvm.text.target import Target

CC = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
WIDTHS = {"avx512": 64, "avx2": 32, "sse2": 16}
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads ELF objects")
needs_cc = pytest.mark.skipif(CC is None, reason="there is no C compiler on this machine")


def exported(compiled, folder, *args, **options) -> Linked:
    compiled.export(folder / "model.o", *args, **options)
    return Linked(folder / "model.o")


def network():
    """Convolutions with scratch of each thread, pooling, products, a softmax."""
    tt.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.GELU(),
        nn.Flatten(), nn.Linear(16 * 12 * 12, 64), nn.ReLU(), nn.Linear(64, 10), nn.Softmax(-1),
    ).eval()  # fmt: skip


# What it computes.
def test_a_network_gives_the_same_bits_on_any_number_of_threads(tmp_path):
    compiled = tt.compile(network(), freeze=True)
    x = tt.randn(9, 1, 28, 28)
    with tt.no_grad():
        linked = exported(compiled, tmp_path, x)  # traced, not called
        wanted = compiled(x).numpy()
    assert "const float *input, float *out, void *workspace" in linked.header
    assert (linked.macros["INPUT_SIZE"], linked.macros["OUT_SIZE"]) == (str(9 * 784), "90")
    for count in (0, 1, 2, 5):
        pool = linked.functions["start_threads"](count) if count else None
        assert bool(pool) == bool(count)
        for given in (False, True):
            out, memory = np.zeros_like(wanted), aligned(linked.workspace_bytes(max(1, count)))
            memory[:] = 0xA5
            assert linked.run(x.numpy(), out, workspace=memory.ctypes.data if given else None, pool=pool) == 0
            assert out.tobytes() == wanted.tobytes()
        linked.functions["stop_threads"](pool)
    pool = linked.functions["start_threads"](3)
    outs = [np.zeros_like(wanted) for _ in range(4)]
    callers = [threading.Thread(target=linked.run, args=(x.numpy(), out), kwargs={"pool": pool}) for out in outs]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert all(out.tobytes() == wanted.tobytes() for out in outs)
    linked.functions["stop_threads"](pool)


def test_wrong_pointers_and_counts_have_a_status(tmp_path):
    linked = exported(tt.compile(lambda x: x * 2), tmp_path, tt.ones(3), name="twice")
    x, out = np.ones(3, np.float32), np.zeros(3, np.float32)
    run = linked.functions["run"]
    assert linked.prefix == "twice" and linked.run(x, out) == 0 and out.tolist() == [2, 2, 2]
    for arguments, message in (
        ((None, out.ctypes.data, None, None), "a pointer is null"),
        ((x.ctypes.data, None, None, None), "a pointer is null"),
        ((x.ctypes.data, out.ctypes.data, aligned(99).ctypes.data + 8, None), "not aligned to 64 bytes"),
    ):
        assert message in linked.message(run(*arguments))
    assert not any(map(linked.functions["start_threads"], (0, -1, 65)))
    linked.functions["stop_threads"](None)
    assert linked.message(0) == "no error" and linked.message(99) == "there is no such status"


def test_state_and_random_numbers_go_on_in_a_buffer_of_the_caller(tmp_path):
    tt.manual_seed(4)
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(0.3))  # in training mode
    compiled = tt.compile(model, freeze=False)
    x = tt.randn(8, 6)
    with tt.no_grad():
        linked = exported(compiled, tmp_path, x)
        tt.save(compiled, tmp_path / "model.tt")
        wanted = [compiled(x).numpy() for _ in range(3)]
    state, other, out = linked.state(), linked.state(), np.zeros((8, 5), np.float32)
    for expected in wanted:
        assert linked.run(x.numpy(), out, state) == 0
        np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-7)  # its weights are constants
    linked.run(x.numpy(), out, other)
    np.testing.assert_allclose(out, wanted[0], rtol=1e-6, atol=1e-7)
    assert "state: float[5] 1.running_mean" in linked.header and "kept between calls" in linked.header
    loaded = tt.load(tmp_path / "model.tt")
    loaded.export(tmp_path / "model.o")
    again = Linked(tmp_path / "model.o")
    again.run(x.numpy(), out, again.state())
    np.testing.assert_allclose(out, wanted[0], rtol=1e-6, atol=1e-7)


def test_an_index_out_of_range_is_a_status_and_changes_nothing(tmp_path):
    table, seen = tt.arange(12.0).reshape(6, 2), tt.zeros(1)

    def look_up(where):
        seen.add_(1)
        return table[where]

    linked = exported(tt.compile(look_up), tmp_path, tt.tensor([0, 1]))
    state, out = linked.state(), np.zeros((2, 2), np.float32)
    assert linked.run(np.array([5, -1]), out, state) == 0 and out.tolist() == [[10, 11], [10, 11]]
    before = state.copy()
    status = linked.run(np.array([6, 0]), out, state)
    text = linked.message(status)
    assert status == 4 and re.fullmatch(r"an index is out of range, at test_export.py:\d+; state is as it was", text)
    assert (state == before).all() and state.view(np.float32)[0] == 1


def test_dtypes_containers_and_arguments_that_change(tmp_path):
    @tt.compile
    def f(pair, default, *, scale=2.0):
        default.add_(1)
        a, b = pair["a"], pair["b"]
        product = a.matmul(b, dtype="i32")
        halves = product.to(tt.f16) * scale
        return {"sum": product.sum(), "halves": (halves, product > 0), "same": b, "row": product[0]}, default * 2

    a = tt.randint(0, 255, (3, 8)).to(tt.u8)
    b = tt.randint(-128, 127, (8, 2)).to(tt.i8)
    given = tt.arange(3.0, dtype=tt.f64)
    linked = exported(f, tmp_path, {"a": a, "b": b}, given)
    (wanted, doubled), changed = f({"a": a, "b": b}, given), np.arange(3.0)
    names = [name.strip("*") for _, name in linked.parameters["run"]]
    assert names == [
        "pair_a", "pair_b", "default_", "out_0_sum", "out_0_halves_0", "out_0_halves_1", "out_0_same", "out_0_row",
        "out_1", "workspace", "threads",
    ]  # fmt: skip
    for text in ("const uint8_t *pair_a", "const int8_t *pair_b", ", double *default_", "int64_t *out_0_sum",
                 "uint16_t *out_0_halves_0", "uint8_t *out_0_halves_1", "int32_t *out_0_row"):  # fmt: skip
        assert text in linked.header
    results = [wanted["sum"], *wanted["halves"], wanted["same"], wanted["row"], doubled]
    outs = [np.zeros_like(t.numpy()) for t in results]
    assert linked.run(a.numpy(), b.numpy(), changed, *outs) == 0
    for out, result in zip(outs, results, strict=True):
        assert out.tobytes() == result.numpy().tobytes()
    assert changed.tolist() == given.tolist() == [1, 2, 3]


def test_state_that_is_returned_is_as_it_is_after_the_call(tmp_path):
    total = tt.zeros(2, 3)

    @tt.compile
    def add(x):
        total.add_(x)
        return total, total[1], total.T, x

    linked = exported(add, tmp_path, tt.ones(3))
    x, state = np.arange(3, dtype=np.float32), linked.state()
    outs = [np.zeros(shape, np.float32) for shape in ((2, 3), (3,), (3, 2), (3,))]
    for _ in range(2):
        assert linked.run(x, *outs, state) == 0
        for out, wanted in zip(outs, add(tt.tensor(x)), strict=True):
            assert out.tolist() == wanted.tolist()
    tt.save(add, tmp_path / "add.tt")
    loaded = tt.load(tmp_path / "add.tt")
    first, row, turned, same = loaded(given := tt.tensor(x))
    assert first is loaded.state_dict()["state"] and same is given and row.tolist() == add(given)[1].tolist()
    loaded(given)
    assert first.tolist() == turned.T.tolist() == add(given)[0].tolist()  # as they share its memory


def test_decoding_with_a_cache(tmp_path):
    tt.manual_seed(1)
    model = tt.GPT(vocab_size=13, embed_dim=16, num_layers=2, num_heads=2, context_length=12).eval()
    cache = tt.KVCache(1, 12, 2, 16)
    decode = tt.compile(lambda token: model(token, cache=cache)[0, -1].argmax())
    with tt.no_grad():
        linked = exported(decode, tmp_path, tt.tensor([[3]]))
        state, token, out, tokens = linked.state(), np.array([[3]]), np.zeros((), np.int64), []
        for _ in range(6):
            assert linked.run(token, out, state) == 0
            tokens.append(int(out))
            token[:] = out
        expected, token = [], tt.tensor([[3]])
        for _ in range(6):
            expected.append(decode(token).item())
            token = tt.tensor([[expected[-1]]])
    assert tokens == expected


# Object files.
@linux
@pytest.mark.parametrize("target", ["host", "avx512", "avx2", "sse2", "neon"])
def test_targets_and_symbols(tmp_path, target):
    def f(x, i):
        half = (x.to(tt.f16) * 3 + x.to(tt.bf16).to(tt.f16)).to(tt.f32)
        return (half.exp() % 3).softmax(-1) @ x.T, (x.to(tt.f64) % 0.7).sort().values[i]

    x, i = tt.randn(17, 33), tt.tensor([2, 16])
    tt.compile(f).export(tmp_path / "f.o", x, i, target=target)
    data = (tmp_path / "f.o").read_bytes()
    machine, shown, needed = symbols(data)
    assert machine == ("aarch64" if target == "neon" else Target.host().triple.split("-")[0])
    assert shown == {"f_run", "f_start_threads", "f_stop_threads", "f_message"}
    assert needed <= ALLOWED
    own = Target.host()
    here = target == "host" or (target in ("avx512", "avx2", "sse2") and own.vector_bytes >= WIDTHS[target])
    if not here or own.triple.split("-")[0] != machine:
        return  # it cannot run
    backend = LlvmBackend(None if target == "host" else Target.named(target))
    linked, outs = Linked(tmp_path / "f.o"), [np.zeros((17, 17), np.float32), np.zeros((2, 33))]
    assert linked.run(x.numpy(), i.numpy(), *outs) == 0
    for out, result in zip(outs, tt.compile(f, backend=backend)(x, i), strict=True):
        assert out.tobytes() == result.numpy().tobytes()


@linux
def test_threads_of_systems_without_a_futex(tmp_path, monkeypatch):
    """Their workers sleep for a while at a time; on this system that works as well."""
    compiled, x, out = tt.compile(lambda x: x.exp().softmax(-1)), tt.randn(200, 600), np.zeros((200, 600), np.float32)
    wanted, host = compiled(x).numpy(), Target.host()
    other = replace(host, triple=f"{host.triple.split('-')[0]}-unknown-freebsd")
    with monkeypatch.context() as patch:
        patch.setattr(Target, "host", staticmethod(lambda: other))
        compiled.export(tmp_path / "f.o", x)
    data = (tmp_path / "f.o").read_bytes()
    assert "usleep" in symbols(data)[2] and "syscall" not in symbols(data)[2]
    linked = Linked(tmp_path / "f.o")
    pool = linked.functions["start_threads"](3)
    for nap in (0, 0.01, 0):
        time.sleep(nap)
        out[:] = 0
        assert linked.run(x.numpy(), out, pool=pool) == 0 and out.tobytes() == wanted.tobytes()
    linked.functions["stop_threads"](pool)
    windows = replace(host, triple="x86_64-pc-windows-msvc")
    monkeypatch.setattr(Target, "host", staticmethod(lambda: windows))
    with pytest.raises(CompileError, match="Windows has none"):
        compiled.export(tmp_path / "g.o")
    assert not (tmp_path / "g.o").exists()


@needs_cc
def test_two_objects_in_one_shared_library(tmp_path):
    for name in ("add", "scale"):
        compiled = tt.compile((lambda x: x + 1) if name == "add" else (lambda x: x * 4))
        compiled.export(tmp_path / f"{name}.o", tt.ones(5))
    library = tmp_path / "both.so"
    objects = [str(tmp_path / "add.o"), str(tmp_path / "scale.o")]
    subprocess.run([CC, "-shared", "-Wl,-z,text,-z,defs", "-o", library, *objects, "-lm", "-lpthread"], check=True)
    for name, wanted in (("add", 3), ("scale", 8)):
        linked, out = Linked(tmp_path / f"{name}.o", library), np.zeros(5, np.float32)
        assert linked.run(np.full(5, 2, np.float32), out) == 0 and out.tolist() == [wanted] * 5
    check = tmp_path / "check.c"
    check.write_text('#include "add.h"\n#include "scale.h"\n')
    flags = ["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]
    subprocess.run([CC, *flags, check], check=True)


# What is refused.
def test_bad_input_of_export(tmp_path, monkeypatch):
    compiled = tt.compile(lambda x: x + 1)
    with pytest.raises(CompileError, match=r"has not been called yet.*export\(path, \*example\)"):
        compiled.export(tmp_path / "f.o")
    compiled(tt.ones(2))
    with pytest.raises(CompileError, match=r"target is one of host, avx512, .*neon.*, got 'mips'"):
        compiled.export(tmp_path / "f.o", target="mips")
    for name in ("int", "1x", "a-b", ""):
        with pytest.raises(CompileError, match="name is a name in C"):
            compiled.export(tmp_path / "f.o", name=name)
    with pytest.raises(CompileError, match="the header's path"):
        compiled.export(tmp_path / "f.h")
    with pytest.raises(TinyTorchError, match="cannot write"):
        compiled.export(tmp_path / "no" / "f.o")
    (tmp_path / "folder.h").mkdir()
    with pytest.raises(TinyTorchError, match=r"cannot write.*folder\.h"):
        compiled.export(tmp_path / "folder.o")
    assert os.listdir(tmp_path) == ["folder.h"]
    model = nn.Linear(2, 2)
    with pytest.raises(TinyTorchError, match="leaves gradients"):
        tt.compile(lambda x: model(x).sum().backward()).export(tmp_path / "f.o", tt.ones(1, 2))
    assert os.listdir(tmp_path) == ["folder.h"]
    weight = tt.arange(300.0)
    with monkeypatch.context() as patch:
        patch.setattr("tinytorch.runtime.llvm.ahead.objects._MOST_BYTES", 1000)
        with pytest.raises(CompileError, match=r"weights of 1,216 bytes are more than an object's 1,000"):
            tt.compile(lambda x: x * weight).export(tmp_path / "f.o", tt.ones(300))
    compiled.export(tmp_path / "1 float.o")
    assert "int x1_float_run(const float *x, float *out" in (tmp_path / "1 float.h").read_text()


def test_signatures_of_loaded_functions(tmp_path):
    compiled = tt.compile(lambda x: x.sum())
    for n in (2, 3):
        compiled(tt.ones(n))
    tt.save(compiled, tmp_path / "f.tt")
    loaded = tt.load(tmp_path / "f.tt")
    with pytest.raises(CompileError, match=r"2 signatures: export\(path, \*example\)"):
        loaded.export(tmp_path / "f.o")
    linked = exported(loaded, tmp_path, tt.ones(3))
    out = np.zeros((), np.float32)
    assert linked.run(np.ones(3, np.float32), out) == 0 and out == 3


@needs_cc
def test_the_example_in_c_classifies_digits(tmp_path):
    pytest.importorskip("sklearn")
    example = Path(__file__).parents[2] / "examples" / "export"
    subprocess.run(
        ["sh", example / "build.sh", tmp_path], check=True, env={**os.environ, "CC": CC, "PYTHON": sys.executable}
    )
    for threads in ("1", "2"):
        done = subprocess.run(
            [tmp_path / "digit", tmp_path / "digits.bin", threads], capture_output=True, text=True, check=True, env={}
        )
        right, total = map(int, re.search(r"(\d+) of (\d+) digits", done.stdout).groups())
        assert total == 360 and right > 0.9 * total
    missing = subprocess.run([tmp_path / "digit"], capture_output=True, text=True, check=False)
    assert missing.returncode == 2 and "usage" in missing.stderr

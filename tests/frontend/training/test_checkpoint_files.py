"""Files of weights and checkpoints: every byte counts, wrong values are refused, files keep their mode and links."""

from __future__ import annotations

import copy
import json
import os
import random
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import tinytorch as tt
from tinytorch.frontend.data import DataLoader, TensorDataset
from tinytorch.frontend.layers import Linear
from tinytorch.frontend.losses import MSELoss
from tinytorch.frontend.module.weights import load_safetensors, save_safetensors
from tinytorch.frontend.optimizers import ASGD, SGD, Adafactor, AdamW, Rprop
from tinytorch.frontend.training import EarlyStopping, Trainer
from tinytorch.frontend.training.checkpoint import Checkpoint
from tinytorch.ir.errors import TinyTorchError

posix = pytest.mark.skipif(os.name != "posix", reason="modes and links of files")


def run_of(optimizer=SGD, **options):
    model = Linear(2, 1)
    trainer = Trainer(model, optimizer(model.parameters(), lr=0.01), MSELoss(), compile=False, hits=None, **options)
    x = np.arange(8, dtype=np.float32).reshape(4, 2) / 8
    return trainer, DataLoader(TensorDataset(x, x[:, :1]), 2)


@pytest.fixture
def saved(tmp_path):
    """A small checkpoint: its path, and the run that it is of."""
    trainer, loader = run_of(early_stopping=EarlyStopping())
    trainer.fit(loader, epochs=1)
    trainer.save_checkpoint(tmp_path / "run", loader)
    return tmp_path / "run", trainer, loader


@pytest.mark.parametrize("kind", [Adafactor, ASGD, Rprop])
def test_a_checkpoint_of_each_optimizer_goes_on(kind, tmp_path):
    trainer, loader = run_of(kind)
    trainer.fit(loader, epochs=1)
    trainer.save_checkpoint(tmp_path / "run", loader)
    other, twin = run_of(kind)
    other.load_checkpoint(tmp_path / "run", twin)
    for run, batches in ((trainer, loader), (other, twin)):
        run.fit(batches, epochs=2)
    assert np.array_equal(other.model.weight.numpy(), trainer.model.weight.numpy())


def mutants(content: bytes):
    """Every byte changed in three ways, every shorter file, and longer ones."""
    rng = random.Random(0)
    for at, byte in enumerate(content):
        for other in {byte ^ 1, byte ^ 0x80, rng.choice([b for b in range(256) if b != byte])}:
            yield content[:at] + bytes([other]) + content[at + 1 :]
    for length in range(len(content)):
        yield content[:length]
    for more in (b"\0", b" ", b"}", content):
        yield content + more


def fresh(path: Path, content: bytes) -> None:
    """A new file, since some file systems wait for the disk where an old one is emptied and written again."""
    path.unlink()
    path.write_bytes(content)


def test_every_changed_byte_of_a_checkpoint_is_found(saved):
    path, trainer, loader = saved
    content = path.read_bytes()
    assert len(content) < 4000
    before = trainer._snapshot(loader, None)
    for number, bad in enumerate(mutants(content)):
        fresh(path, bad)
        with pytest.raises(TinyTorchError, match="run"):
            Checkpoint.load(path) if number % 100 else trainer.load_checkpoint(path, loader)
    after = trainer._snapshot(loader, None)
    assert after.state == before.state
    assert all(np.array_equal(after.arrays[name], array) for name, array in before.arrays.items())
    path.write_bytes(content)
    trainer.load_checkpoint(path, loader)


def test_every_changed_byte_of_saved_weights_is_found(tmp_path):
    path = tmp_path / "weights.safetensors"
    Linear(2, 3).save(path)
    for bad in mutants(path.read_bytes()):
        fresh(path, bad)
        with pytest.raises(TinyTorchError, match=r"weights\.safetensors"):
            Linear(2, 3).load(path)


def swapped(content: bytes) -> bytes:
    return content[:-8] + content[-4:] + content[-8:-4]


def header_of_another(content: bytes) -> bytes:
    length = 8 + int.from_bytes(content[:8], "little")
    other = content[:length].replace(b'"F32"', b'"I32"')
    return other + content[length:]


@pytest.mark.parametrize("change", [swapped, header_of_another])
def test_larger_changes_are_found(tmp_path, change):
    path = tmp_path / "weights"
    save_safetensors({"a": np.arange(6, dtype=np.float32)}, path, {"note": 'with "quotes" and {braces}'})
    assert load_safetensors(path)["a"].numpy().tolist() == [0, 1, 2, 3, 4, 5]
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(TinyTorchError, match="checksum"):
        load_safetensors(path)


# Other programs.
def test_the_safetensors_package_reads_what_is_written_here_and_the_other_way_round(tmp_path):
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b.c": np.array(True),
        "empty": np.zeros((0, 3), np.int64),
        "half": np.ones(3, np.float16),
    }
    save_safetensors(arrays, tmp_path / "ours", {"format": "pt"})
    theirs = safetensors.numpy.load_file(tmp_path / "ours")
    with safetensors.safe_open(tmp_path / "ours", "numpy") as file:
        metadata = file.metadata()
    assert metadata["format"] == "pt"
    safetensors.numpy.save_file(arrays, tmp_path / "theirs", {"format": "pt", "checksum": "of their own"})
    ours = {name: tensor.numpy() for name, tensor in load_safetensors(tmp_path / "theirs").items()}
    for found in (theirs, ours):
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype and np.array_equal(found[name], array)


def test_metadata_copied_to_other_content_is_refused_and_says_what_to_do(tmp_path):
    save_safetensors({"a": np.ones(3)}, tmp_path / "file")
    with safetensors.safe_open(tmp_path / "file", "numpy") as file:
        metadata = file.metadata()
    safetensors.numpy.save_file({"a": np.zeros(3)}, tmp_path / "file", metadata)
    with pytest.raises(TinyTorchError, match=r"leave out 'tinytorch\.checksum'"):
        load_safetensors(tmp_path / "file")


def test_bytes_of_bools_that_are_none_are_true(tmp_path):
    safetensors.numpy.save_file({"a": np.array([2, 0, 255], np.uint8)}, tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].replace(b'"U8"', b'"BOOL"').rstrip()
    (tmp_path / "file").write_bytes(len(header).to_bytes(8, "little") + header + content[8 + length :])
    found = load_safetensors(tmp_path / "file")["a"].numpy()
    assert found.view(np.uint8).tolist() == [1, 0, 1]


@pytest.mark.parametrize("header", ["[]", "{}", "{", "[" * 100_000, '{"a": 1}', '{"a": {"data_offsets": [0, 1e400]}}'])
def test_headers_that_are_none(tmp_path, header):
    text = header.encode()
    for tail in (b"", b"\0" * 8):
        (tmp_path / "file").write_bytes(len(text).to_bytes(8, "little") + text + tail)
        if (header, tail) == ("{}", b""):
            assert load_safetensors(tmp_path / "file") == {}
            continue
        with pytest.raises(TinyTorchError, match="not a whole safetensors file"):
            load_safetensors(tmp_path / "file")


@posix
def test_what_is_no_file_is_an_error_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 42)
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero"), tmp_path / "huge", tmp_path / "missing"):
        with pytest.raises(TinyTorchError, match=path.name or "cannot"):
            load_safetensors(path)


# The state of a run.
def set_to(*keys: str | int, value: object):
    def change(state: dict) -> None:
        for key in keys[:-1]:
            state = state[key]
        state[keys[-1]] = value

    return change


def without(*keys: str | int):
    def change(state: dict) -> None:
        for key in keys[:-1]:
            state = state[key]
        del state[keys[-1]]

    return change


WRONG = {
    "negative step": set_to("step", value=-1),
    "negative epoch": set_to("epoch", value=-5),
    "fraction of a step": set_to("step", value=1.5),
    "text for a number": set_to("step", value="1"),
    "true for a number": set_to("batch", value=True),
    "huge number": set_to("step", value=10**30),
    "infinite time": set_to("seconds", value=1e999),
    "negative time": set_to("seconds", value=-1.0),
    "no time": set_to("seconds", value=None),
    "time that is text": set_to("seconds", value="nan"),
    "no step": without("step"),
    "no loaders": without("loaders"),
    "one loader": set_to("loaders", value=[None]),
    "a loader that is a number": set_to("loaders", 0, value=3),
    "a position that is text": set_to("loaders", 0, "position", value="1"),
    "a negative seed": set_to("loaders", 0, "seed", value=-1),
    "a huge epoch of a loader": set_to("loaders", 0, "epoch", value=2**70),
    "no position": without("loaders", 0, "position"),
    "a history that is a number": set_to("history", value=5),
    "an epoch that is a number": set_to("history", 0, value=5),
    "a loss that is text": set_to("history", 0, "train_loss", value="small"),
    "no loss": without("history", 0, "train_loss"),
    "no rate": without("history", 0, "lr"),
    "groups that are none": set_to("param_groups", value=None),
    "no groups": set_to("param_groups", value=[]),
    "a rate that is text": set_to("param_groups", 0, "lr", value="0.1"),
    "a rate that is infinite": set_to("param_groups", 0, "lr", value=1e999),
    "a rate too large for a float": set_to("param_groups", 0, "lr", value=1e200),
    "a negative rate": set_to("param_groups", 0, "lr", value=-1.0),
    "no rate of a group": without("param_groups", 0, "lr"),
    "moments that are text": set_to("param_groups", 0, "betas", value="high"),
    "three moments": set_to("param_groups", 0, "betas", value=[0.9, 0.9, 0.9]),
    "moments one of which is text": set_to("param_groups", 0, "betas", value=[0.9, "0.9"]),
    "true for eps": set_to("param_groups", 0, "eps", value=True),
    "no eps of a group": without("param_groups", 0, "eps"),
    "parameters that are text": set_to("param_groups", 0, "params", value="all"),
    "parameters that are negative": set_to("param_groups", 0, "params", value=[-1, 0]),
    "a best that is text": set_to("early_stopping", "best", value="0.5"),
    "no best": without("early_stopping", "best"),
    "negative waiting": set_to("early_stopping", "waited", value=-1),
    "stopping that is a list": set_to("early_stopping", value=[1]),
    "another format": set_to("format", value=99),
    "a format that is text": set_to("format", value="2"),
    "no format": without("format"),
}


@pytest.mark.parametrize("case", WRONG)
def test_values_of_the_wrong_kind_are_errors_that_name_the_file(tmp_path, case):
    path = tmp_path / "run"
    trainer, loader = run_of(AdamW, early_stopping=EarlyStopping())
    trainer.fit(loader, epochs=1)
    trainer.save_checkpoint(path, loader)
    before = trainer._snapshot(loader, None)
    rewrite(path, WRONG[case])
    with pytest.raises(TinyTorchError, match=str(path)):
        trainer.load_checkpoint(path, loader)
    assert trainer._snapshot(loader, None).state == before.state


def rewrite(path: Path, change) -> None:
    """Change the JSON of a checkpoint, with a checksum that fits."""
    arrays = {name: tensor.numpy() for name, tensor in load_safetensors(path).items()}
    state = json.loads(arrays["trainer.json"].tobytes())
    change(state)
    text = state if isinstance(state, bytes) else json.dumps(state).encode()
    save_safetensors({**arrays, "trainer.json": np.frombuffer(text, np.uint8)}, path)


@pytest.mark.parametrize("text", ["", "5", "[]", "{", "[" * 100_000, "NaN", '{"format": NaN}', "\xff", "1" * 5000])
def test_json_that_is_none(saved, text):
    path, trainer, loader = saved
    arrays = {name: tensor.numpy() for name, tensor in load_safetensors(path).items()}
    save_safetensors({**arrays, "trainer.json": np.frombuffer(text.encode("latin1"), np.uint8)}, path)
    with pytest.raises(TinyTorchError, match="run"):
        trainer.load_checkpoint(path, loader)


@pytest.mark.parametrize("name", ["totals", "generator.default", "model.weight"])
def test_arrays_that_are_missing_or_of_another_kind(saved, name):
    path, trainer, loader = saved
    whole = Checkpoint.load(path)
    for array in (None, np.zeros((3, 3, 3)), np.zeros(0, np.int8)):
        arrays = {**whole.arrays, name: array} if array is not None else dict(whole.arrays)
        if array is None:
            del arrays[name]
        Checkpoint(arrays, copy.deepcopy(whole.state)).save(path)
        with pytest.raises(TinyTorchError, match="run"):
            trainer.load_checkpoint(path, loader)


def test_a_checkpoint_needs_its_checksum(saved):
    path, trainer, loader = saved
    safetensors.numpy.save_file(safetensors.numpy.load_file(path), path)
    with pytest.raises(TinyTorchError, match="no checksum"):
        trainer.load_checkpoint(path, loader)


def test_metrics_that_are_not_finite_are_kept(saved):
    path, trainer, loader = saved
    trainer.history[0]["val_loss"] = float("nan")
    trainer.history[0]["train_accuracy"] = float("-inf")
    trainer.early_stopping.best = float("inf")
    trainer.save_checkpoint(path, loader)
    trainer.history[0]["val_loss"] = trainer.early_stopping.best = 1.0
    trainer.load_checkpoint(path, loader)
    assert np.isnan(trainer.history[0]["val_loss"]) and trainer.history[0]["train_accuracy"] == float("-inf")
    assert trainer.early_stopping.best == float("inf")


# Writing.
@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_a_file_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "weights"
    path.write_bytes(b"old")
    path.chmod(mode)
    save_safetensors({"a": np.ones(3)}, path)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert load_safetensors(path)["a"].numpy().tolist() == [1, 1, 1]
    assert os.listdir(tmp_path) == ["weights"]


@posix
def test_a_new_file_has_the_mode_of_new_files(tmp_path):
    old = os.umask(0o027)
    try:
        save_safetensors({"a": np.ones(3)}, tmp_path / "weights")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "weights").stat().st_mode) == 0o640


@posix
def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "disk").mkdir()
    target = tmp_path / "disk" / "weights"
    (tmp_path / "between").symlink_to("disk/weights")
    (tmp_path / "link").symlink_to("between")
    for value in (1, 2):  # the target is not there yet, then it is
        save_safetensors({"a": np.array(value)}, tmp_path / "link")
        assert (tmp_path / "link").is_symlink() and (tmp_path / "between").is_symlink()
        assert not target.is_symlink() and load_safetensors(target)["a"].item() == value
    assert os.listdir(tmp_path / "disk") == ["weights"]


@posix
def test_what_is_no_regular_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "folder").mkdir()
    before = sorted(os.listdir(tmp_path))
    for name in before:
        with pytest.raises(TinyTorchError, match=f"cannot write .*{name}"):
            save_safetensors({"a": np.ones(3)}, tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == before
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@posix
@pytest.mark.skipif(os.name == "posix" and os.getuid() != 0, reason="only root can give files away")
def test_root_leaves_a_file_to_its_owner(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"old")
    os.chown(path, 54321, 54322)
    save_safetensors({"a": np.ones(3)}, path)
    assert (path.stat().st_uid, path.stat().st_gid) == (54321, 54322)


def test_a_name_of_the_greatest_length(tmp_path):
    path = tmp_path / ("w" * 255)
    save_safetensors({"a": np.ones(3)}, path)
    assert load_safetensors(path)["a"].numpy().tolist() == [1, 1, 1]


def test_content_is_on_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("replace"), replace(a, b)))
    save_safetensors({"a": np.ones(3)}, tmp_path / "weights")
    assert done[:2] == ["fsync", "replace"]


WRITER = """
import sys, numpy as np, tinytorch as tt
for turn in range(40):
    tt.save_safetensors({"a": np.full(20_000, int(sys.argv[1]) + turn)}, sys.argv[2])
    assert len(set(tt.load_safetensors(sys.argv[2])["a"].numpy().tolist())) == 1
"""


def test_several_processes_write_one_file(tmp_path):
    path = tmp_path / "weights"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(1000 * i), str(path)]) for i in range(2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert os.listdir(tmp_path) == ["weights"] and tt.load_safetensors(path)

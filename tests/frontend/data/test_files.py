"""Files of data sets: decoded arrays that are kept, and compressed files that are larger than they look."""

from __future__ import annotations

import gzip
import lzma
import os
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.frontend.data.sets import BATCHES, idx, own_folders, write_batches, write_mnist
from tinytorch.frontend.data import MNIST, files
from tinytorch.ir.system.private_files import PrivateFolder

__all__ = ["own_folders"]  # a fixture of every test here too


# ---- decoded arrays on disk ---------------------------------------------------------------------------------


def cached_files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "data" / "decoded").glob("*"))


def test_decoded_arrays_are_kept_and_renewed_with_their_source(tmp_path):
    write_mnist(tmp_path)
    MNIST(tmp_path)
    assert [path.suffix for path in cached_files(tmp_path)] == [".array", ".array"]
    assert not MNIST(tmp_path).images.flags.writeable
    other = np.full((5, 28, 28), 7, np.uint8)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(other)))
    assert (MNIST(tmp_path).images == 7).all()


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", None])
def test_a_damaged_cache_is_decoded_anew(tmp_path, content):
    images, _ = write_mnist(tmp_path)
    MNIST(tmp_path)
    for path in cached_files(tmp_path):
        path.write_bytes(path.read_bytes()[:-1] if content is None else content)
    np.testing.assert_array_equal(MNIST(tmp_path).images[:, 0], images)


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path, monkeypatch):
    images, _ = write_mnist(tmp_path)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path / "file"))
    np.testing.assert_array_equal(MNIST(tmp_path).images[:, 0], images)


def own_files(tmp_path: Path) -> list[Path]:
    """Kept arrays of MNIST, images then labels."""
    return sorted(cached_files(tmp_path), key=lambda path: -path.stat().st_size)


def test_every_change_of_a_kept_array_is_found(tmp_path):
    images, labels = write_mnist(tmp_path)
    MNIST(tmp_path)
    rng = np.random.default_rng(0)
    for path in own_files(tmp_path):
        good = path.read_bytes()
        for at in [*range(52), *rng.integers(0, len(good), 30)]:
            bad = bytearray(good)
            bad[at % len(good)] ^= 1 << int(rng.integers(8))
            path.unlink()
            path.write_bytes(bad)
            data = MNIST(tmp_path)
            np.testing.assert_array_equal(data.images[:, 0], images)
            np.testing.assert_array_equal(data.labels, labels)
            assert path.read_bytes() == good  # decoded and kept anew


def test_labels_of_kept_arrays_are_checked(tmp_path):
    """A file with a checksum that fits, in which a label is none."""
    _, labels = write_mnist(tmp_path)
    MNIST(tmp_path)
    path = own_files(tmp_path)[1]
    folder = PrivateFolder(path.parent)
    for wrong in (np.full(5, 77, np.uint8), labels[:-1], labels[:, None]):
        files._store(folder, path.name, wrong)
        np.testing.assert_array_equal(MNIST(tmp_path).labels, labels)


def test_one_kept_array_is_not_taken_for_another(tmp_path):
    images, _ = write_mnist(tmp_path)
    MNIST(tmp_path)
    write_mnist(tmp_path, "t10k")
    MNIST(tmp_path, train=False)
    files = own_files(tmp_path)
    files[0].write_bytes(files[1].read_bytes()[::1])
    np.testing.assert_array_equal(MNIST(tmp_path).images[:, 0], images)


TRUNCATED = """
import os, sys
from tinytorch.frontend.data import MNIST
MNIST(sys.argv[1])
data = MNIST(sys.argv[1])
for folder, _, files in os.walk(sys.argv[2]):
    for name in files:
        os.truncate(os.path.join(folder, name), 0)
print(int(data.images.sum()), int(data.labels.sum()))
"""


def test_arrays_survive_that_their_files_are_cut_short(tmp_path):
    images, labels = write_mnist(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", TRUNCATED, str(tmp_path), str(tmp_path / "cache")], capture_output=True, text=True
    )
    assert done.stdout.split() == [str(images.sum()), str(labels.sum())], done


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no file owners on this system")
def test_kept_arrays_of_others_are_not_read(tmp_path, monkeypatch):
    images, _ = write_mnist(tmp_path)
    MNIST(tmp_path)
    path = own_files(tmp_path)[0]
    planted = tmp_path / "planted"
    folder = PrivateFolder(tmp_path)
    files._store(folder, path.name, np.zeros((5, 1, 28, 28), np.uint8))
    (tmp_path / path.name).rename(planted)

    def decoded_anew() -> bool:
        return bool((MNIST(tmp_path).images[:, 0] == images).all())

    path.write_bytes(planted.read_bytes())
    assert not decoded_anew()  # a file of one's own with the right checksum counts
    path.chmod(0o666)
    assert decoded_anew()
    path.unlink()
    path.symlink_to(planted)
    assert decoded_anew()
    path.unlink()
    os.mkfifo(path)
    assert decoded_anew()
    path.write_bytes(planted.read_bytes())
    if os.getuid() == 0:
        os.chown(path, 54321, -1)
        assert decoded_anew()
        path.write_bytes(planted.read_bytes())
    path.parent.chmod(0o777)
    with pytest.warns(RuntimeWarning, match="others can write") as caught:
        assert decoded_anew() and decoded_anew()
    assert len(caught) == 1


# ---- compressed files that are larger than they look ----------------------------------------------------------

BOMB = """
import resource, sys
import tinytorch
from tinytorch.frontend.data import CIFAR10, MNIST, DataError, TinyShakespeare
limit = 1 << 31  # bytes of address space; the files unpack to more
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    {"mnist": MNIST, "cifar": CIFAR10, "text": TinyShakespeare}[sys.argv[1]](sys.argv[2], download=False)
except DataError as error:
    print(error)
    # The peak of this program; that of getrusage counts the one that started it.
    print(next(int(line.split()[1]) >> 10 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def bomb(start: bytes = b"", compress=gzip.compress) -> bytes:
    """`start` and 3 GiB of zeros, compressed: a compressed file may have any number of parts."""
    return compress(start) + compress(bytes(1 << 24)) * 192


def idx_bomb(count: int) -> bytes:
    return bomb(bytes([0, 0, 8, 3]) + struct.pack(">3I", count, 28, 28))


def archive_bomb() -> bytes:
    info = tarfile.TarInfo("data_batch_1.bin")
    info.size = 3 << 30
    return bomb(info.tobuf())


BOMBS = {
    "more than its header says": ("mnist", "train-images-idx3-ubyte.gz", lambda: idx_bomb(5)),
    "a header that asks for all memory": ("mnist", "train-images-idx3-ubyte.gz", lambda: idx_bomb(3 << 20)),
    "a header of no images": ("mnist", "train-images-idx3-ubyte.gz", lambda: idx_bomb(0)),
    "a batch": ("cifar", "data_batch_1.bin.gz", bomb),
    "a batch by xz": ("cifar", "data_batch_1.bin.xz", lambda: bomb(b"", lzma.compress)),
    "an archive": ("cifar", "cifar-10-binary.tar.gz", archive_bomb),
    "a text": ("text", "input.txt", lambda: bytes(1 << 24)),
}


@pytest.mark.skipif(sys.platform != "linux", reason="limits and measures memory as Linux does")
@pytest.mark.parametrize("case", BOMBS)
def test_compressed_files_do_not_become_all_memory(tmp_path, case):
    what, name, content = BOMBS[case]
    write_mnist(tmp_path)
    if not name.startswith("cifar-10"):
        write_batches(tmp_path, dict.fromkeys(BATCHES, b""), BATCHES, ".bin.gz")
        (tmp_path / name.replace(".xz", ".gz")).unlink(missing_ok=True)
    (tmp_path / name).write_bytes(content())
    done = subprocess.run([sys.executable, "-c", BOMB, what, str(tmp_path)], capture_output=True, text=True)
    assert name in done.stdout, done
    assert int(done.stdout.split()[-1]) < 500  # MiB

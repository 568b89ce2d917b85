"""The disk cache: round trips, damage, other processes, folders that cannot be used, bounded size."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tinytorch.runtime import cache
from tinytorch.runtime.cache import Entry

ENTRY = Entry({"arena": 4096, "names": ["x", "ŷ"], "nested": {"a": None}}, bytes(range(256)) * 9)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path / "made" / "on demand"))
    return cache.folder()


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_round_trip(folder: Path) -> None:
    key = cache.key("a")
    assert cache.load(key) is None
    cache.store(key, ENTRY)
    assert cache.load(key) == ENTRY
    cache.store(key, Entry({}, b""))
    assert cache.load(key) == Entry({}, b"")
    assert len(list(folder.iterdir())) == 1


def test_fetch_makes_once(folder: Path) -> None:
    made: list[int] = []

    def make() -> Entry:
        made.append(1)
        return ENTRY

    assert cache.fetch("k", make) == cache.fetch("k", make) == ENTRY
    assert len(made) == 1


def test_key_separates_parts() -> None:
    keys = [cache.key("ab", "c"), cache.key("a", "bc"), cache.key("abc"), cache.key(b"abc"), cache.key("abc", "")]
    assert len(set(keys)) == len(keys)
    assert cache.key("ab", "c") == keys[0]


def test_metadata_must_be_json(folder: Path) -> None:
    with pytest.raises(TypeError):
        cache.store("k", Entry({"a": object()}, b""))


@pytest.mark.parametrize("keep", [0, 1, 7, 20, 56, 57, 100, -1])
def test_truncated_is_ignored_and_replaced(folder: Path, keep: int) -> None:
    cache.store("k", ENTRY)
    path = only_file(folder)
    path.write_bytes(path.read_bytes()[:keep])
    assert cache.load("k") is None
    cache.store("k", ENTRY)
    assert cache.load("k") == ENTRY


def test_every_flipped_bit_is_found(folder: Path) -> None:
    cache.store("k", Entry({"a": 1}, b"code"))
    path = only_file(folder)
    good = path.read_bytes()
    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        assert cache.load("k") is None, bit


def test_foreign_files_are_ignored(folder: Path) -> None:
    cache.store("k", ENTRY)
    path = only_file(folder)
    path.rename(path.with_name("other.ttc"))
    assert cache.load("other") is None  # an entry answers to its own key alone
    path.write_bytes(b"something else that is long enough to hold a header, and a little more than that")
    assert cache.load("k") is None
    path.write_bytes(path.with_name("other.ttc").read_bytes() + b"!")
    assert cache.load("k") is None
    path.unlink()
    path.mkdir()
    assert cache.load("k") is None


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no file owners on this system")
def test_files_of_others_are_not_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.store("k", ENTRY)
    if os.getuid() == 0:
        os.chown(only_file(folder), 54321, -1)
    else:
        monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert cache.load("k") is None


def test_unusable_folder_warns_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocking = tmp_path / "file"
    blocking.write_text("")
    monkeypatch.setenv("TT_CACHE_DIR", str(blocking / "cache"))
    assert cache.load("k") is None
    with pytest.warns(RuntimeWarning, match="TT_CACHE_DIR") as caught:
        cache.store("k", ENTRY)
        cache.store("k", ENTRY)
        assert cache.fetch("k", lambda: ENTRY) == ENTRY
    assert len(caught) == 1
    assert str(blocking) in str(caught[0].message)


def test_full_disk_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_from: str, _to: str) -> None:
        raise OSError(28, "No space left on device")

    cache.store("old", ENTRY)
    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(RuntimeWarning, match="No space left"):
        cache.store("new", ENTRY)
    assert [path.name for path in folder.iterdir()] == ["old.ttc"]


def test_least_recently_used_go_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SIZE_LIMIT", 10_000)
    entry = Entry({}, bytes(2_000))
    for age, name in enumerate("abcd"):
        cache.store(name, entry)
        os.utime(folder / f"{name}.ttc", (1000 + age, 1000 + age))
    assert cache.load("a") == entry  # used now, so b is the oldest
    stranger = folder / "notes.txt"
    stranger.write_bytes(bytes(50_000))
    cache.store("e", entry)
    assert {name for name in "abcde" if cache.load(name)} == {"a", "d", "e"}
    assert stranger.exists()


def test_abandoned_temporary_files_are_removed(folder: Path) -> None:
    folder.mkdir(parents=True)
    old, live = folder / "dead.tmp", folder / "live.tmp"
    old.write_bytes(b"x")
    live.write_bytes(b"x")
    os.utime(old, (1000, 1000))
    cache.store("k", ENTRY)
    assert sorted(path.name for path in folder.iterdir()) == ["k.ttc", "live.tmp"]


WRITER = """
import sys
from tinytorch.runtime import cache
from tinytorch.runtime.cache import Entry
which = int(sys.argv[1])
for turn in range(150):
    cache.store("shared", Entry({"writer": which, "turn": turn}, bytes([which, turn]) * 20_000))
    found = cache.load("shared")
    assert found is not None, "a reader met a half-written entry"
    assert found.object_code == bytes([found.metadata["writer"], found.metadata["turn"]]) * 20_000
"""


def test_concurrent_processes(folder: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-W", "error", "-c", WRITER, str(i)]) for i in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert cache.load("shared") is not None
    assert len(list(folder.iterdir())) == 1


def test_folder_of_the_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("TT_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache.folder() == tmp_path / ".cache" / "tinytorch"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.folder() == tmp_path / "xdg" / "tinytorch"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache.folder() == tmp_path / "Library" / "Caches" / "tinytorch"
    monkeypatch.setattr(sys, "platform", "win32")
    assert cache.folder() == tmp_path / "AppData" / "Local" / "tinytorch" / "Cache"
    monkeypatch.setenv("TT_CACHE_DIR", "relative")
    assert cache.folder() == Path.cwd() / "relative"


def test_new_folder_is_private(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.store("k", ENTRY)
    if os.name == "posix":
        assert folder.stat().st_mode & 0o077 == 0


def test_source_digest_is_the_same_in_another_process() -> None:
    code = "from tinytorch.runtime import cache; print(cache.source_digest())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    digest = other.stdout.strip()
    assert len(digest) == 64
    cache.source_digest.cache_clear()
    assert cache.source_digest() == digest

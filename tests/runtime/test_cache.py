"""The disk cache: round trips, damage, other processes, folders that cannot be used, bounded size."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from tinytorch.runtime import cache
from tinytorch.runtime.cache import Entry

ENTRY = Entry({"arena": 4096, "names": ["x", "ŷ"], "nested": {"a": None}}, bytes(range(256)) * 9)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of entries, which is not there yet."""
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path / "made" / "on demand"))
    return cache.code_folder().path


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
    keys = {name: cache.key(name) for name in "abcde"}
    for age, name in enumerate("abcd"):
        cache.store(keys[name], entry)
        os.utime(folder / f"{keys[name]}.ttc", (1000 + age, 1000 + age))
    assert cache.load(keys["a"]) == entry  # used now, so b is the oldest
    strangers = [folder / "notes.txt", folder / "font.ttc"]
    for stranger in strangers:
        stranger.write_bytes(bytes(50_000))
        os.utime(stranger, (1, 1))
    cache.store(keys["e"], entry)
    assert {name for name in keys if cache.load(keys[name])} == {"a", "d", "e"}
    assert all(stranger.exists() for stranger in strangers)


def test_only_its_own_abandoned_files_are_removed(folder: Path) -> None:
    """Whatever else lies about, in a folder for temporary files say, is somebody's."""
    base = cache.folder()
    folder.mkdir(parents=True, mode=0o700)
    (folder / "link").symlink_to(base)
    own = folder / f"{cache.key('dead')[:16]}-01234567.tmp"
    live = folder / f"{cache.key('live')[:16]}-89abcdef.tmp"
    names = [
        "dead.tmp",
        "k0123456789abcdef.tmp",
        f"{cache.key('x')}.tmp",
        "font.ttc",
        own.name,
        f"{cache.key('y')}.ttc",
    ]
    strangers = [where / name for where in (base, folder) for name in names if where / name != own]
    kept = folder / f"{cache.key('y')}.ttc"  # looks like an entry, in a folder that is not full
    for path in [own, live, *strangers]:
        path.write_bytes(b"x")
        if path != live:
            os.utime(path, (1000, 1000))
    cache.store(cache.key("k"), ENTRY)
    assert not own.exists() and live.exists() and kept.exists()
    assert [path for path in strangers if not path.exists()] == []


# Folders and files that someone else could have written.
posix = pytest.mark.skipif(not hasattr(os, "getuid"), reason="no file owners on this system")
KEY = cache.key("k")


def refused(folder: Path, *matches: str) -> None:
    """Everything works without the folder, one warning says so, and nothing is written."""
    before = sorted(folder.rglob("*"))
    with pytest.warns(RuntimeWarning, match="TT_CACHE_DIR") as caught:
        assert cache.load(KEY) is None
        assert cache.fetch(KEY, lambda: ENTRY) == ENTRY
        cache.store(KEY, ENTRY)
    assert len(caught) == 1
    assert all(match in str(caught[0].message) for match in matches), caught[0].message
    assert sorted(folder.rglob("*")) == before


@posix
@pytest.mark.parametrize("where", ["entries", "folder", "above"])
@pytest.mark.parametrize("mode", [0o777, 0o722, 0o757])
def test_what_others_can_write_is_refused(folder: Path, where: str, mode: int) -> None:
    cache.store(KEY, ENTRY)
    assert cache.load(KEY) == ENTRY
    path = {"entries": folder, "folder": folder.parent, "above": folder.parent.parent}[where]
    path.chmod(mode)
    refused(folder, "others can write", str(path))
    path.chmod(0o755)
    assert cache.load(KEY) == ENTRY


@posix
@pytest.mark.parametrize("where", ["entries", "folder", "above"])
def test_what_belongs_to_someone_else_is_refused(folder: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.store(KEY, ENTRY)
    path = {"entries": folder, "folder": folder.parent, "above": folder.parent.parent}[where]
    if os.getuid() == 0:
        os.chown(path, 54321, -1)
    else:
        monkeypatch.setattr(os, "getuid", lambda: 54321)
    refused(folder, "belongs to somebody else")


@posix
def test_a_folder_for_everybodys_temporary_files_holds_one_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o1777)
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.store(KEY, ENTRY)
        assert cache.load(KEY) == ENTRY
    (own,) = tmp_path.iterdir()
    assert str(os.getuid()) in own.name and own.stat().st_mode & 0o077 == 0
    own.chmod(0o777)
    refused(own, "others can write")


@posix
def test_a_link_of_someone_else_on_the_way_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (tmp_path / "link").symlink_to("own")
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path / "link" / "cache"))
    cache.store(KEY, ENTRY)
    assert cache.load(KEY) == ENTRY and list(own.iterdir())
    if os.getuid() == 0:
        os.chown(tmp_path / "link", 54321, -1, follow_symlinks=False)
        refused(own, "belongs to somebody else", "link")
    (tmp_path / "round").symlink_to("round")
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path / "round" / "cache"))
    with pytest.warns(RuntimeWarning):
        cache.store(KEY, ENTRY)
    assert cache.load(KEY) is None


def as_link(path: Path) -> None:
    path.rename(path.with_name("planted"))
    path.symlink_to("planted")


def as_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_endless_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_huge_file(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(1 << 40)


def as_huge_entry(path: Path) -> None:
    """A header that agrees with a size which no memory holds."""
    with path.open("r+b") as file:
        file.seek(8)
        file.write(((1 << 40) - 56 - 10).to_bytes(8, "little") + (10).to_bytes(8, "little"))
        file.truncate(1 << 40)


def as_writable(path: Path) -> None:
    path.chmod(0o666)


@posix
@pytest.mark.parametrize(
    "change", [as_link, as_fifo, as_endless_device, as_folder, as_huge_file, as_huge_entry, as_writable]
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_no_private_regular_file_is_no_entry(folder: Path, change: Callable[[Path], None]) -> None:
    cache.store(KEY, ENTRY)
    change(folder / f"{KEY}.ttc")
    assert cache.load(KEY) is None
    assert cache.fetch(KEY, lambda: Entry({}, b"made")) == Entry({}, b"made")
    if change is not as_folder:  # which nothing removes
        assert cache.load(KEY) == Entry({}, b"made")


def test_systems_without_owners_and_flags(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("getuid", "O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY"):
        monkeypatch.delattr(os, name, raising=False)
    cache.store(KEY, ENTRY)
    assert cache.load(KEY) == ENTRY
    as_link(folder / f"{KEY}.ttc")
    assert cache.load(KEY) is None
    cache.store(KEY, ENTRY)
    assert cache.load(KEY) == ENTRY


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root can write everywhere")
def test_a_folder_that_is_only_readable_serves(folder: Path) -> None:
    cache.store(KEY, ENTRY)
    folder.chmod(0o500)
    try:
        assert cache.load(KEY) == ENTRY
        with pytest.warns(RuntimeWarning):
            cache.store(cache.key("other"), ENTRY)
    finally:
        folder.chmod(0o700)


def test_mutants_of_an_entry_are_no_entries(folder: Path) -> None:
    cache.store(KEY, ENTRY)
    path = only_file(folder)
    good, rng = path.read_bytes(), random.Random(0)
    for _ in range(2000):
        bad = bytearray(good)
        for _ in range(rng.choice([1, 1, 2, 8])):
            at = rng.randrange(len(bad))
            match rng.randrange(4):
                case 0:
                    bad[at] = rng.randrange(256)
                case 1:
                    del bad[at : at + rng.choice([1, 8, 200])]
                case 2:
                    bad[at:at] = rng.randbytes(rng.choice([1, 8, 200]))
                case _:
                    bad[at : at + 8] = rng.choice([0, 1, 2**31, 2**63, 2**64 - 1]).to_bytes(8, "little")
        path.unlink()
        path.write_bytes(bad)
        assert cache.load(KEY) == (ENTRY if bytes(bad) == good else None)


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


def test_other_archives_are_other_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python imports packages of archives, too, where there is no folder of sources."""
    digests: set[str] = set()
    for content in (b"one", b"another"):
        (tmp_path / "packages.zip").write_bytes(content)
        monkeypatch.setattr(cache, "__file__", str(tmp_path / "packages.zip" / "tinytorch" / "runtime" / "cache.py"))
        cache.source_digest.cache_clear()
        digests.add(cache.source_digest())
    cache.source_digest.cache_clear()
    assert len(digests) == 2

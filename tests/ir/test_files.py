"""Files for people: the old one or the new one, never a part."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.system.files import write_bytes, write_text, write_texts


class Interrupted(BaseException):
    """As Ctrl-C, or a disk that is full."""


def test_a_file_that_was_begun_takes_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.html"
    write_text(path, "old")

    def interrupted(*_: object) -> None:
        raise Interrupted

    monkeypatch.setattr(os, "replace", interrupted)
    for name in ("page.html", "another.html"):
        with pytest.raises(Interrupted):
            write_text(tmp_path / name, "new")
    monkeypatch.undo()
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["page.html"]
    write_texts(tmp_path, {"page.html": "new"})
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["page.html"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes in folders")
def test_what_is_no_file_is_written_in_place(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_bytes(tmp_path / "pipe", b"drawn")
    reader.join(10)
    assert read == [b"drawn"] and stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)
    write_text(os.devnull, "nothing")
    assert not stat.S_ISREG(os.stat(os.devnull).st_mode)
    with pytest.raises(TinyTorchError, match=r"cannot write .*: Is a directory"):
        write_text(tmp_path, "x")


def test_links_and_modes_stay(tmp_path: Path) -> None:
    (tmp_path / "page").write_text("old")
    (tmp_path / "page").chmod(0o640)
    (tmp_path / "link").symlink_to("page")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "page").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "page").stat().st_mode) == 0o640


def test_a_file_in_a_folder_that_takes_no_others_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page").write_text("old")
    before = (tmp_path / "page").stat().st_ino
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    write_text(tmp_path / "page", "new")
    assert (tmp_path / "page").read_text() == "new" and (tmp_path / "page").stat().st_ino == before

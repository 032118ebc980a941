"""Archives are unpacked whole or not at all, and only into their folder."""

import io
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from medstress.errors import MedstressError
from medstress.fetch.archive import unpack

FILES = {"data/a.png": b"one", "data/deep/b.png": b"two" * 1000, "readme.txt": b""}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def special(path: Path, kind: bytes, name: str = "x", target: str = "/etc/passwd") -> Path:
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, target
        archive.addfile(entry)
    return path


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("make", [zipped, tarred, lambda path, files: tarred(path, files, "w:xz")])
def test_every_file_comes_out_at_its_place(make: Callable[[Path, dict[str, bytes]], Path], tmp_path: Path) -> None:
    archive = make(tmp_path / "archive", FILES)
    assert unpack(archive, tmp_path / "out") == 3
    assert content_of(tmp_path / "out") == FILES


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "C:\\x", "\\\\host\\x", "a\\..\\..\\x"])
@pytest.mark.parametrize("make", [zipped, tarred])
def test_nothing_is_written_elsewhere(
    make: Callable[[Path, dict[str, bytes]], Path], name: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    archive = make(tmp_path / "in" / "archive", {"ok": b"1", name: b"2"})
    with pytest.raises(MedstressError, match="would be written outside the folder"):
        unpack(archive, tmp_path / "in" / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "archive"]


@pytest.mark.parametrize("names", [["a", "a/b"], ["a/b", "a"], ["a", "a/b/c/d"], ["x/a/b", "x/a"]])
@pytest.mark.parametrize("make", [zipped, tarred])
def test_a_file_that_is_a_folder_as_well_is_an_error(
    make: Callable[[Path, dict[str, bytes]], Path], names: list[str], tmp_path: Path
) -> None:
    archive = make(tmp_path / "archive", dict.fromkeys(names, b"1"))
    with pytest.raises(
        MedstressError, match=r"archive: (x/)?a\S* is, or lies below, a name that is a file and a folder"
    ):
        unpack(archive, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(kind: bytes, tmp_path: Path) -> None:
    with pytest.raises(MedstressError, match="'x' is a link or a device"):
        unpack(special(tmp_path / "archive", kind), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        entry = zipfile.ZipInfo("x")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(MedstressError, match="is a link or a device"):
        unpack(tmp_path / "archive", tmp_path / "out")


@pytest.mark.parametrize("make", [zipped, tarred])
def test_a_bomb_stops_at_the_limit(make: Callable[[Path, dict[str, bytes]], Path], tmp_path: Path) -> None:
    archive = make(tmp_path / "archive", {"a": b"0" * 5_000_000})
    assert archive.stat().st_size < 50_000
    with pytest.raises(MedstressError, match="unpacks to more than"):
        unpack(archive, tmp_path / "out", most_bytes=4_000_000)
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]


def test_the_free_disk_is_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100))
    with pytest.raises(MedstressError, match="all that is free or allowed"):
        unpack(zipped(tmp_path / "archive", FILES), tmp_path / "out")


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "archive", {"a": bytes(range(256)) * 40})
    with zipfile.ZipFile(archive, "a") as opened:
        first = opened.infolist()[0]
        for number in range(50):
            copy = zipfile.ZipInfo(f"copy{number}")
            for key in ("compress_type", "CRC", "compress_size", "file_size", "header_offset"):
                setattr(copy, key, getattr(first, key))
            opened.filelist.append(copy)
        opened._didModify = True  # type: ignore[attr-defined]
    with pytest.raises(MedstressError, match="overlap"):
        unpack(archive, tmp_path / "out")


def test_an_archive_that_holds_a_name_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MedstressError, match="holds a twice"):
        with tarfile.open(tmp_path / "archive", "w") as archive:
            for content in (b"1", b"2"):
                entry = tarfile.TarInfo("a")
                entry.size = 1
                archive.addfile(entry, io.BytesIO(content))
        unpack(tmp_path / "archive", tmp_path / "out")


def test_a_damaged_archive_leaves_nothing(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "archive", FILES)
    spoiled = bytearray(archive.read_bytes())
    spoiled[spoiled.index(b"deep/b.png") + 14] ^= 0xFF
    archive.write_bytes(spoiled)
    with pytest.raises(MedstressError, match=r"damaged.*fetch it again"):
        unpack(archive, tmp_path / "out")
    whole = tarred(tmp_path / "archive.tar.gz", FILES).read_bytes()
    (tmp_path / "archive.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MedstressError, match=r"damaged|neither"):
        unpack(tmp_path / "archive.tar.gz", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "archive.tar.gz"]


def test_a_web_page_is_no_archive(tmp_path: Path) -> None:
    page = tmp_path / "archive.zip"
    page.write_text("<!DOCTYPE html><html>Please log in</html>")
    with pytest.raises(MedstressError, match=r"neither a zip nor a tar archive. It is a web page"):
        unpack(page, tmp_path / "out")


def test_what_a_killed_run_left_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".out.unpacking").mkdir()
    (tmp_path / ".out.unpacking" / "half").write_text("half")
    unpack(zipped(tmp_path / "archive", FILES), tmp_path / "out")
    assert content_of(tmp_path / "out") == FILES

"""Archives unpacked with distrust: what they hold may come from anywhere, and a name is not a place to write to."""

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from medstress.errors import MedstressError

_BLOCK = 2**20
MOST_ENTRIES = 2_000_000
"""More files than any data set of images has."""
MOST_BYTES = 2**40
"""1 TB unpacked; the free space of the disk usually says less."""


_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, NotImplementedError, EOFError, OSError)


@dataclass(frozen=True)
class _Entry:
    """A file of an archive: its path inside, its size as declared, and how to open it."""

    path: PurePosixPath
    size: int
    member: zipfile.ZipInfo | tarfile.TarInfo


def unpack(archive: Path, folder: Path, most_bytes: int = MOST_BYTES) -> int:
    """Unpack a zip or tar archive (gz, bz2, xz) into a new `folder`; the number of files.

    The folder appears whole or not at all. Raises MedstressError for a file that is no archive or is damaged, for an
    entry that is a link or a device or would lie elsewhere, for a name that comes twice or is a folder as well, and for
    more bytes than `most_bytes` or the free disk.
    """
    staged = folder.with_name(f".{folder.name}.unpacking")
    if staged.exists():
        shutil.rmtree(staged)
    staged.mkdir(parents=True)
    try:
        limit = min(most_bytes, shutil.disk_usage(staged).free)
        count = _unpack_into(archive, staged, limit)
        staged.replace(folder)
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk, not the archive
        raise MedstressError(f"{archive}: the archive is damaged ({error}). Delete it and fetch it again.") from None
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return count


def _unpack_into(archive: Path, staged: Path, limit: int) -> int:
    left = limit
    count = 0
    with _contents(archive) as (entries, reader):
        for entry in entries:
            count += 1
            target = staged / entry.path
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError):
                raise MedstressError(_file_and_folder(archive, entry.path.parent)) from None
            if target.is_dir():
                raise MedstressError(_file_and_folder(archive, entry.path))
            if target.exists():
                raise MedstressError(f"{archive}: holds {entry.path} twice. It was not unpacked.")
            with reader(entry) as source, target.open("wb") as sink:
                while block := source.read(_BLOCK):
                    left -= len(block)
                    if left < 0:
                        raise MedstressError(_too_large(archive, limit))
                    sink.write(block)
    if not count:
        raise MedstressError(f"{archive}: the archive is empty. Delete it and fetch it again.")
    return count


@contextmanager
def _contents(archive: Path) -> Iterator[tuple[Iterable[_Entry], "_Reader"]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield _zip_entries(archive, opened), _Reader(opened)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as opened_tar:
            yield _tar_entries(archive, opened_tar), _Reader(opened_tar)
    else:
        head = archive.read_bytes()[:512].lstrip().lower()
        page = " It is a web page: the server may want a login, or the address has changed." if head[:1] == b"<" else ""
        raise MedstressError(f"{archive}: is neither a zip nor a tar archive.{page} Look at it, then delete it.")


@dataclass(frozen=True)
class _Reader:
    archive: zipfile.ZipFile | tarfile.TarFile

    def __call__(self, entry: _Entry) -> IO[bytes]:
        if isinstance(self.archive, zipfile.ZipFile):
            assert isinstance(entry.member, zipfile.ZipInfo)
            return self.archive.open(entry.member)
        assert isinstance(entry.member, tarfile.TarInfo)
        opened = self.archive.extractfile(entry.member)
        assert opened is not None
        return opened


def _zip_entries(archive: Path, opened: zipfile.ZipFile) -> list[_Entry]:
    members = opened.infolist()
    _check_count(archive, len(members))
    entries = []
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise MedstressError(_not_a_file(archive, member.filename))
        if member.flag_bits & 1:
            raise MedstressError(f"{archive}: {member.filename} is encrypted. Unpack the archive by hand.")
        path = _checked(archive, member.filename)
        if not member.is_dir():
            entries.append(_Entry(path, member.file_size, member))
    # Entries that share bytes are the way to a small file that never ends.
    if sum(member.compress_size for member in members) > archive.stat().st_size:
        raise MedstressError(f"{archive}: its entries overlap, which no honest archive does. It was not unpacked.")
    return entries


def _tar_entries(archive: Path, opened: tarfile.TarFile) -> Iterator[_Entry]:
    for number, member in enumerate(opened, start=1):
        _check_count(archive, number)
        path = _checked(archive, member.name)
        if not (member.isreg() or member.isdir()):
            raise MedstressError(_not_a_file(archive, member.name))
        if member.isreg():
            yield _Entry(path, member.size, member)


def _checked(archive: Path, name: str) -> PurePosixPath:
    path, elsewhere = PurePosixPath(name), PureWindowsPath(name)
    if path.is_absolute() or elsewhere.drive or elsewhere.root or ".." in elsewhere.parts or "\0" in name:
        raise MedstressError(
            f"{archive}: the entry {name!r} would be written outside the folder. The archive was not unpacked; "
            "do not trust it."
        )
    return path


def _check_count(archive: Path, count: int) -> None:
    if count > MOST_ENTRIES:
        raise MedstressError(f"{archive}: holds more than {MOST_ENTRIES} files. It was not unpacked.")


def _not_a_file(archive: Path, name: str) -> str:
    return f"{archive}: the entry {name!r} is a link or a device. The archive was not unpacked; unpack it by hand."


def _file_and_folder(archive: Path, path: PurePosixPath) -> str:
    return (
        f"{archive}: {path} is, or lies below, a name that is a file and a folder at once. It was not unpacked. Fetch "
        "it again, or unpack it by hand."
    )


def _too_large(archive: Path, limit: int) -> str:
    return (
        f"{archive}: unpacks to more than {limit / 1e9:.2f} GB, which is all that is free or allowed. It was not "
        "unpacked. Free some space, or make downloads/ a link to a folder on another disk."
    )

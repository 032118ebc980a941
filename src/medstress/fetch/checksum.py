"""Whether a file is the one that a card means."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["sha256", "md5"]


@dataclass(frozen=True)
class Checksum:
    """What a file's digest has to be, in hexadecimal digits."""

    kind: Kind
    digits: str


def known_checksum(sha256: str | None, md5: str | None) -> Checksum | None:
    """The better of the two that a card gives; None where it gives none."""
    if sha256:
        return Checksum("sha256", sha256)
    return Checksum("md5", md5) if md5 else None


def digest_of(path: Path, kind: Kind) -> str:
    """The digest of a file in hexadecimal digits. MD5 is for what publishers give and no protection from forgery."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def sha256_of(path: Path) -> str:
    """The sha256 of a file, as 64 hexadecimal digits."""
    return digest_of(path, "sha256")

"""A folder or a server of one's own that is tried before the source: MEDSTRESS_MIRROR."""

import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from medstress.cards.download import Download
from medstress.errors import MedstressError
from medstress.fetch.checksum import Checksum, digest_of
from medstress.fetch.http import Patience, check_space, download, file_name
from medstress.fetch.request import NotThereError, Remote, shown

log = logging.getLogger("medstress")

VARIABLE = "MEDSTRESS_MIRROR"


@dataclass(frozen=True)
class Mirror:
    """Where a card's files may lie nearer: `{base}/{card name}/` on a server, or the same folder on a disk."""

    base: str

    @property
    def is_server(self) -> bool:
        """Whether it is reached over http."""
        return self.base.startswith(("http://", "https://"))

    def folder_of(self, card: str) -> Path | None:
        """The card's folder on a disk, if there is one with something in it."""
        folder = Path(self.base) / card
        return folder if not self.is_server and folder.is_dir() and any(folder.iterdir()) else None

    def get(self, card: str, name: str, checksum: Checksum | None, target: Path, patience: Patience) -> bool:
        """Bring one file of a card to `target`; whether the mirror has it. Its checksum is checked if known."""
        if self.is_server:
            try:
                url = f"{self.base.rstrip('/')}/{quote(card)}/{quote(name)}"
                download(Remote(url, checksum=checksum), target, patience)
            except NotThereError:
                log.info("the mirror %s has no %s/%s", shown(self.base), card, name)
                return False
            return True
        source = Path(self.base) / card / name
        if not source.is_file():
            return False
        kind = checksum.kind if checksum else "sha256"
        found = digest_of(source, kind)
        if checksum and checksum.digits != found:
            raise MedstressError(
                f"{source}: its {kind} is {found}, but the card says {checksum.digits}. Copy the file again."
            )
        check_space(target.parent, source.stat().st_size, str(source))
        shutil.copyfile(source, target)
        log.info("copied %s: %s %s", source, kind, found)
        return True


def mirror_from_environment() -> Mirror | None:
    """The mirror that MEDSTRESS_MIRROR names. Raises MedstressError where it is a folder that is not there."""
    base = os.environ.get(VARIABLE, "").strip()
    if not base:
        return None
    mirror = Mirror(base)
    if not mirror.is_server and not Path(base).is_dir():
        raise MedstressError(f"{VARIABLE}: {base} is neither a folder nor an address that begins with http.")
    return mirror


def copy_whole(card: str, downloads: Sequence[Download], mirror: Mirror, content: Path) -> Path | None:
    """Copy a card's folder of a mirror on a disk as it lies there, unless it holds the archives themselves.

    Gives the folder that was copied, or None where there is nothing to copy whole.
    """
    folder = mirror.folder_of(card)
    if folder is None:
        return None
    archives = [file_name(item.url) for item in downloads if item.url]
    if archives and all((folder / name).is_file() for name in archives):
        return None
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    check_space(content.parent, size, str(folder))
    shutil.copytree(folder, content)
    log.info("copied %s: %d bytes", folder, size)
    return folder

"""A card's files, from a mirror or from where the card says, into one folder: whole or not at all."""

import json
import logging
import os
import shutil
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from medstress.cards.download import Download
from medstress.errors import MedstressError
from medstress.fetch.archive import unpack
from medstress.fetch.checksum import digest_of, known_checksum, sha256_of
from medstress.fetch.http import PATIENT, Patience, download, file_name
from medstress.fetch.hub import fetch_from_hub
from medstress.fetch.mirror import Mirror, copy_whole, mirror_from_environment
from medstress.fetch.request import Remote, shown
from medstress.records import atomic_path
from medstress.specs import FetchSpec

log = logging.getLogger("medstress")

_ORIGIN = ".origin.json"


@dataclass(frozen=True)
class Fetched:
    """What a folder holds: where it came from ("found" where it was there already), its files and their bytes."""

    source: str
    files: int
    bytes: int


def fetch(spec: FetchSpec, root: Path, patience: Patience = PATIENT) -> Fetched:
    """Fill the folder that a card names, unless what is wanted lies there already.

    Everything is brought together in a folder beside it, which keeps what a stopped run had and takes the place of the
    folder in the end. Raises MedstressError for what a person has to do.
    """
    folder = root / spec.folder
    wanted = [root / path for path in spec.wanted]
    absent = _absent(wanted)
    if not absent and _origin_fits(folder, spec):
        _check_sums(spec, root)
        log.info("%s: found, nothing was fetched", folder)
        return _described("found", folder)
    mirror = mirror_from_environment()
    by_hand = next((item.by_hand for item in spec.downloads if item.by_hand), "")
    if by_hand and (mirror is None or mirror.folder_of(spec.name) is None):
        raise MedstressError(_asked_by_hand(spec, by_hand, absent, root))
    if others := _others(folder):
        but = f"but not {_names(absent, root)}" if absent else "fetched from another place than the card now names"
        raise MedstressError(f"{folder}: holds {others}, {but}. Complete it, or move it away to have it fetched.")
    staged = folder.with_name(f".{folder.name}.partial")
    source = _gathered(spec, staged, mirror, patience)
    content = staged / "content"
    _check_layout(spec, content)
    with atomic_path(content / _ORIGIN) as temporary:
        temporary.write_text(json.dumps(_origin_of(spec)), encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)  # nothing is in it but hidden files
    content.replace(folder)
    shutil.rmtree(staged)
    _check_sums(spec, root)
    return _described(source, folder)


def write_stamp(stamp: Path, fetched: Fetched) -> None:
    """Say that a folder is complete, and what it holds."""
    with atomic_path(stamp) as temporary:
        temporary.write_text(json.dumps(asdict(fetched), indent=1) + "\n", encoding="utf-8")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _gathered(spec: FetchSpec, staged: Path, mirror: Mirror | None, patience: Patience) -> str:
    """Fill `content` in the staged folder, going on from what an earlier run has there; where the files came from."""
    _forget_other_cards(spec, staged)
    content, items = _made(staged) / "content", staged / "items"
    if not items.is_dir():
        shutil.rmtree(content, ignore_errors=True)  # half a copy
        if mirror is not None and (copied := copy_whole(spec.name, spec.downloads, mirror, content)):
            return str(copied)
    sources = [_brought(number, spec, staged, mirror, patience) for number in range(len(spec.downloads))]
    files = [path.relative_to(item) for item in items.iterdir() for path in item.rglob("*") if path.is_file()]
    if twice := sorted(str(path) for path, count in Counter(files).items() if count > 1):
        raise MedstressError(f"{spec.name}: several downloads of the card bring {twice[0]}. Use `into` in the card.")
    for item in sorted(items.iterdir()):
        for path in sorted(item.rglob("*")):
            if path.is_file():
                target = content / path.relative_to(item)
                _made(target.parent)
                path.replace(target)
    return "; ".join(sources)


def _forget_other_cards(spec: FetchSpec, staged: Path) -> None:
    """Drop what a stopped run brought for downloads that the card does not name any more."""
    now = [item.model_dump(mode="json") for item in spec.downloads]
    marks = {int(path.stem): path for path in (staged / "done").glob("*.json")}
    stale = [
        number
        for number, path in marks.items()
        if json.loads(path.read_text(encoding="utf-8"))["download"] != dict(enumerate(now)).get(number)
    ]
    # The content is made of all downloads together: of other ones nothing in it can be told apart.
    joined = (staged / "items").is_dir() and (staged / "content").is_dir()
    if joined and (stale or len(marks) < len(now)):
        shutil.rmtree(staged)
        return
    for number in stale:
        marks[number].unlink()
        shutil.rmtree(staged / "items" / str(number), ignore_errors=True)


def _brought(number: int, spec: FetchSpec, staged: Path, mirror: Mirror | None, patience: Patience) -> str:
    """Bring one of the card's downloads into a staged folder, unless an earlier run did; where it came from."""
    item = spec.downloads[number]
    mark, parts = staged / "done" / f"{number}.json", _made(staged / "parts" / str(number))
    if mark.is_file():
        return str(json.loads(mark.read_text(encoding="utf-8"))["source"])
    own = staged / "items" / str(number)
    shutil.rmtree(own, ignore_errors=True)  # of a run that was killed
    bring = _from_hub if item.hub else _from_url
    source = bring(item, spec.name, parts, _made(own) / item.into, mirror, patience)
    with atomic_path(mark) as temporary:
        temporary.write_text(json.dumps({"download": item.model_dump(mode="json"), "source": source}), encoding="utf-8")
    shutil.rmtree(parts)
    return source


def _from_url(item: Download, card: str, parts: Path, place: Path, mirror: Mirror | None, patience: Patience) -> str:
    assert item.url is not None
    name = file_name(item.url)
    target, source, checksum = parts / name, shown(item.url), known_checksum(item.sha256, item.md5)
    if mirror is not None and mirror.get(card, name, checksum, target, patience):
        source = f"{shown(mirror.base)}/{card}/{name}"
    elif not (checksum and target.is_file() and digest_of(target, checksum.kind) == checksum.digits):
        token = os.environ.get(item.token) if item.token else None
        download(Remote(item.url, token or None, item.token, checksum), target, patience)
    if item.unpack:
        unpacked = parts / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)  # of a run that was killed
        log.info("unpacked %s: %d files", name, unpack(target, unpacked))
        _made(place.parent)
        unpacked.replace(place)
    else:
        target.replace(_made(place) / name)
    return source


def _from_hub(item: Download, card: str, parts: Path, place: Path, mirror: Mirror | None, patience: Patience) -> str:
    files, source = parts / "files", ""
    plain = [name for name in item.files if not set(name) & set("*?[")]
    if mirror is not None and mirror.is_server and plain and plain == item.files:
        had = [mirror.get(card, name, None, _made((files / name).parent) / Path(name).name, patience) for name in plain]
        source = f"{shown(mirror.base)}/{card}" if all(had) else ""
    if not source:
        source = f"{item.hub} at {fetch_from_hub(item, _made(files), patience)}"
    _made(place.parent)
    files.replace(place)
    return source


def _absent(wanted: list[Path]) -> list[Path]:
    return [path for path in wanted if not (path.is_file() or (path.is_dir() and any(path.iterdir())))]


def _others(folder: Path) -> str:
    """What a folder holds, without the stamp and hidden files; "" for nothing."""
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _origin_of(spec: FetchSpec) -> list[dict[str, object]]:
    # Left out where there is none, as in folders that were fetched before cards could have it.
    return [
        item.model_dump(mode="json", exclude={"token"} if item.md5 else {"token", "md5"}) for item in spec.downloads
    ]


def _origin_fits(folder: Path, spec: FetchSpec) -> bool:
    """Whether a folder was fetched from where the card says; one that was not fetched is the user's own and fits."""
    try:
        return bool(json.loads((folder / _ORIGIN).read_text(encoding="utf-8")) == _origin_of(spec))
    except FileNotFoundError:
        return True


def _check_layout(spec: FetchSpec, content: Path) -> None:
    inside = [
        content / Path(path).relative_to(spec.folder) for path in spec.wanted if Path(path).is_relative_to(spec.folder)
    ]
    if absent := _absent(inside):
        has = sorted(path.relative_to(content).as_posix() for path in (*content.glob("*"), *content.glob("*/*")))
        shown_names = ", ".join(has[:20]) + (", ..." if len(has) > 20 else "")
        raise MedstressError(
            f"{spec.name}: what was fetched has no {_names(absent, content)}; it has {shown_names or 'nothing'}. The "
            f"files lie in {content}. Correct the paths in the card, or delete {content.parent} to fetch again."
        )


def _names(paths: list[Path], root: Path) -> str:
    return ", ".join(path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path) for path in paths)


def _asked_by_hand(spec: FetchSpec, by_hand: str, absent: list[Path], root: Path) -> str:
    return (
        f"{spec.name}: no program may fetch this. {by_hand.strip()}\n"
        f"Missing now: {_names(absent, root)} (in {root.resolve()}). docs/datasets.md says more; a folder that "
        "MEDSTRESS_MIRROR names is copied, too."
    )


def _check_sums(spec: FetchSpec, root: Path) -> None:
    for path, sha256 in spec.sha256.items():
        if not (root / path).is_file():
            raise MedstressError(
                f"{path}: no such file, but the card has its sha256. Leave `sha256` out, or bring that file."
            )
        found = sha256_of(root / path)
        if found != sha256:
            raise MedstressError(
                f"{path}: its sha256 is {found}, but the card says {sha256}. Either the file is another one or the "
                "card is wrong; move the file away to have it fetched again."
            )


def _described(source: str, folder: Path) -> Fetched:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return Fetched(source, len(files), sum(path.stat().st_size for path in files))

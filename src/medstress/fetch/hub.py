"""Files of a Hugging Face repository, through the hub's own client and checked against the hub's own list."""

import fnmatch
import logging
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medstress.cards.download import Download
from medstress.errors import MedstressError
from medstress.fetch.checksum import sha256_of
from medstress.fetch.http import OFFLINE, PATIENT, Patience, check_space

log = logging.getLogger("medstress")

_TOKEN = "HF_TOKEN"  # noqa: S105  (a name)


@dataclass(frozen=True)
class _File:
    path: str
    size: int | None
    sha256: str | None


def fetch_from_hub(source: Download, folder: Path, patience: Patience = PATIENT) -> str:
    """Download the repository's files that the card names into `folder`, and give the commit that they belong to.

    HF_ENDPOINT may name a mirror of the hub. Raises MedstressError for a repository, revision or file that is not there
    or not open, for a network that stays away, and for files that differ from the hub's list.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    assert source.hub is not None
    disable_progress_bars()  # a log is no terminal
    variable = source.token or _TOKEN
    token, endpoint = os.environ.get(variable) or None, os.environ.get("HF_ENDPOINT") or None
    failed = 0
    while True:
        try:
            # The commit first: what `main` means may change while files are on their way.
            api = HfApi(endpoint=endpoint, token=token)
            info = (api.dataset_info if source.dataset else api.model_info)(
                source.hub, revision=source.revision, files_metadata=True
            )
            siblings = info.siblings or []
            listed = [_File(item.rfilename, item.size, item.lfs.sha256 if item.lfs else None) for item in siblings]
            files = _chosen(source, listed)
            check_space(folder.parent, sum(item.size or 0 for item in files) - _held(folder), source.hub)
            log.info("fetching %d files of %s at %s", len(files), source.hub, info.sha)
            snapshot_download(
                source.hub,
                repo_type="dataset" if source.dataset else "model",
                revision=info.sha,
                local_dir=folder,
                allow_patterns=[item.path for item in files],
                token=token,
                endpoint=endpoint,
            )
            break
        except MedstressError:
            raise
        except Exception as error:  # the client's errors have changed their bases from version to version
            explained = _explained(error, source, variable, token is not None)
            if explained is not None:
                raise explained from None
            failed += 1
            if failed >= patience.tries:
                text = str(error).partition("\n")[0] or type(error).__name__
                raise MedstressError(f"{source.hub}: the hub cannot be reached ({text}). {OFFLINE}") from None
            time.sleep(patience.wait(failed, None))
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    _check(source.hub, folder, files)
    return str(info.sha)


def _chosen(source: Download, listed: Sequence[_File]) -> list[_File]:
    """The files that the card asks for. Raises MedstressError where a name or pattern fits none."""
    patterns = source.files or ["*"]
    fitting = {pattern: [item for item in listed if fnmatch.fnmatch(item.path, pattern)] for pattern in patterns}
    if absent := [pattern for pattern, files in fitting.items() if not files]:
        known = ", ".join(item.path for item in listed[:20]) or "nothing"
        raise MedstressError(
            f"{source.hub}: has no file {', '.join(absent)}. It has {known}. Correct `download.files`."
        )
    return list({item.path: item for files in fitting.values() for item in files}.values())


def _held(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


def _check(hub: str, folder: Path, files: Sequence[_File]) -> None:
    """Every file against the hub's list: the client goes on without a word if it cannot reach the hub half-way."""
    wrong = []
    for item in files:
        path = folder / item.path
        if not path.is_file():
            wrong.append(f"{item.path} is missing")
        elif item.size not in (None, path.stat().st_size) or (item.sha256 and sha256_of(path) != item.sha256):
            path.unlink()
            wrong.append(f"{item.path} is not what the hub lists")
    if wrong:
        raise MedstressError(f"{hub}: {'; '.join(wrong)}. Run the same command again.")


def _explained(error: Exception, source: Download, variable: str, has_token: bool) -> MedstressError | None:
    """What a person has to do about an error of the client's; None where another try may help."""
    name = type(error).__name__
    page = f"https://huggingface.co/{'datasets/' if source.dataset else ''}{source.hub}"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if name == "RevisionNotFoundError":
        return MedstressError(f"{source.hub}: has no revision {source.revision!r}. Correct `download.revision`.")
    if name == "GatedRepoError" or status in (401, 403) or name == "RepositoryNotFoundError":
        # The hub answers 401 for a name that does not exist, so that private ones stay unknown.
        token = f"the token in ${variable} does not open it" if has_token else f"${variable} holds no token"
        return MedstressError(
            f"{source.hub}: not there, or not open to you: {token}. Check the name in the card, accept the conditions "
            f"at {page} if it has any, and put a token of that account into the environment as ${variable}."
        )
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        raise error  # the disk
    if status is not None and status < 500 and status not in (408, 429):
        return MedstressError(f"{source.hub}: the hub answers {status}. Check `download` in the card.")
    return None

"""One request for a file at a URL, and what its failure means: another try, or something for a person to do."""

import base64
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from medstress.errors import MedstressError
from medstress.fetch.checksum import Checksum

_BUSY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_NOT_THERE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)


@dataclass(frozen=True)
class Remote:
    """A file to get: where, the token that opens it with the variable it came from, and the checksum if known."""

    url: str
    token: str | None = None
    token_variable: str = ""
    checksum: Checksum | None = None


class NotThereError(MedstressError):
    """The server has no such file."""


class BrokenError(Exception):
    """A try that failed and may succeed when repeated; `wait` is what the server asks for, in seconds."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def shown(url: str) -> str:
    """A URL as it may be logged: without user, password, query and fragment, any of which may be secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, _host(parts), parts.path, "", ""))


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


@contextmanager
def opened(remote: Remote, asked: dict[str, str], silence: float) -> Iterator[Any]:
    """The response, or None for 416. Raises what a person has to do, or BrokenError."""
    url, login = _without_login(remote.url)
    headers = {"Accept-Encoding": "identity", "User-Agent": "medstress", **asked}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  (cards take http and https only)
    authorization = f"Bearer {remote.token}" if remote.token else login
    if authorization:
        # Unredirected: a token goes to the host that it was given for and to no other.
        request.add_unredirected_header("Authorization", authorization)
    opener = urllib.request.build_opener(_Redirects(authorization))
    try:
        with broken_as_such():
            response = opener.open(request, timeout=silence)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and asked:
                yield None
                return
            raise _explained(error, remote) from None
    with response:
        yield response


@contextmanager
def broken_as_such() -> Iterator[None]:
    """What the network does wrong, as BrokenError."""
    try:
        yield
    except urllib.error.HTTPError:
        raise
    except urllib.error.URLError as error:
        raise BrokenError(f"cannot be reached ({error.reason})") from None
    except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
        text = str(error) or type(error).__name__
        raise BrokenError(f"the connection broke ({text})") from None


def _explained(error: urllib.error.HTTPError, remote: Remote) -> Exception:
    url, code = shown(remote.url), error.code
    if code in _BUSY or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return BrokenError(f"the server answers {code} ({error.reason})", _asked_wait(error.headers.get("Retry-After")))
    if code in _NOT_THERE:
        return NotThereError(
            f"{url}: no such file on the server ({code}). It may have moved: look at the card's `reference`, and "
            "correct `download` in the card, or copy the files by hand."
        )
    if code in _REFUSED:
        if remote.token:
            return MedstressError(
                f"{url}: the server refuses the token in ${remote.token_variable} ({code}). Make a new one, and accept "
                "the conditions on the page of the data or model if it has any."
            )
        variable = f"${remote.token_variable}" if remote.token_variable else "a variable that `download.token` names"
        return MedstressError(
            f"{url}: the server wants a login ({code}). Put your token into the environment as {variable}; accept the "
            "conditions on the page of the data or model if it has any."
        )
    return MedstressError(f"{url}: the server answers {code} ({error.reason}). Check the address in the card.")


def _asked_wait(header: str | None) -> float | None:
    """Retry-After in seconds: a number or a date."""
    if not header:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None


def _without_login(url: str) -> tuple[str, str | None]:
    """A URL without user and password, and what they become as a header."""
    parts = urlsplit(url)
    login, at, _ = parts.netloc.rpartition("@")
    if not at:
        return url, None
    encoded = base64.b64encode(unquote(login).encode()).decode("ascii")
    return urlunsplit(parts._replace(netloc=_host(parts))), f"Basic {encoded}"


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects over http and https; the login goes along only to the same origin."""

    def __init__(self, authorization: str | None) -> None:
        self._authorization = authorization

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise MedstressError(f"{shown(req.full_url)}: leads to an address that is no web address: {shown(newurl)}.")
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and self._authorization and _origin(req.full_url) == _origin(newurl):
            following.add_unredirected_header("Authorization", self._authorization)
        return following


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port

"""A real web server on this machine, with the faults that servers have."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Answer = tuple[int, dict[str, str]]


@dataclass
class File:
    """A file on the server. What is in a list is used up, one a request; then the server behaves."""

    content: bytes
    etag: str = ""
    modified: str = ""
    token: str = ""
    answers: list[Answer] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    stalls: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    glues: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass
class Server:
    """Files by path, redirects by path, and what was asked for."""

    files: dict[str, File] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    base: str = ""
    released: threading.Event = field(default_factory=threading.Event)

    def asked_for(self, path: str) -> list[dict[str, str]]:
        return [headers for _, asked, headers in self.asked if asked == path]


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        state: Server = self.server.state
        path = urlsplit(self.path).path
        state.asked.append((self.command, path, dict(self.headers)))
        file = state.files.get(path)
        if path in state.redirects:
            self._plain(302, {"Location": state.redirects[path]})
        elif file is None:
            self._plain(404, {})
        elif file.token and self.headers.get("Authorization") != file.token:
            self._plain(401, {})
        elif file.answers:
            self._plain(*file.answers.pop(0))
        else:
            self._send(file, body=body)

    def _send(self, file: File, *, body: bool) -> None:
        content, start = file.content, self._start(file)
        if start is not None and start >= len(content):
            self._plain(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        self.send_response(200 if start is None else 206)
        for name, value in {"ETag": file.etag, "Last-Modified": file.modified, **file.headers}.items():
            if value:
                self.send_header(name, value)
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        rest = content[start or 0 :]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if not body:
            return
        if file.cuts:
            rest = rest[: file.cuts.pop(0)]
            self.close_connection = True
        if file.stalls:
            file.stalls -= 1
            self.wfile.write(rest[: len(rest) // 2])
            self.wfile.flush()
            self.server.state.released.wait(30)
            return
        self.wfile.write(rest)

    def _start(self, file: File) -> int | None:
        """Where the answer begins; None for the whole file."""
        asked, condition = self.headers.get("Range", ""), self.headers.get("If-Range")
        if not asked or not file.ranges:
            return None
        if condition and not file.glues and condition not in (file.etag, file.modified):
            return None
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def _plain(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()


@contextmanager
def serving() -> Iterator[Server]:
    """A server at `base` for as long as the block runs."""
    state = Server()
    running = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    running.daemon_threads = True
    running.state = state  # type: ignore[attr-defined]
    state.base = f"http://127.0.0.1:{running.server_address[1]}"
    thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        running.shutdown()
        running.server_close()
        thread.join()

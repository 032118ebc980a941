"""A real server on this machine that speaks OpenAI's chat completions and Gemini's generateContent, and fails."""

import asyncio
import base64
import contextlib
import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Reply = tuple[int, dict[str, str], bytes]
DROP = "drop"
STALL = "stall"


def told(status: int, error: dict[str, Any], **headers: str) -> Reply:
    """An error reply; `Retry_After` becomes the header Retry-After."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, named, json.dumps({"error": error}).encode()


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def gemini(self) -> bool:
        return self.path.endswith(":generateContent")

    @property
    def parts(self) -> list[dict[str, Any]]:
        return self.body["contents"][0]["parts"] if self.gemini else self.body["messages"][-1]["content"]

    @property
    def prompt(self) -> str:
        return next(part["text"] for part in self.parts if "text" in part)

    @property
    def image(self) -> bytes | None:
        for part in self.parts:
            if "inlineData" in part:
                return base64.b64decode(part["inlineData"]["data"])
            if "image_url" in part:
                return base64.b64decode(part["image_url"]["url"].removeprefix("data:image/png;base64,"))
        return None


def words(request: Request) -> str:
    """What the server answers: the prompt, and a hash of the image that came."""
    image = request.image
    return f"{request.prompt} {'-' if image is None else hashlib.sha256(image).hexdigest()[:8]}"


def openai_reply(text: str | None, finish: str = "stop", refusal: str | None = None, tokens: Any = (10, 5)) -> bytes:
    message = {"role": "assistant", "content": text, "refusal": refusal}
    usage = None if tokens is None else {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage}).encode()


def gemini_reply(text: str, finish: str = "STOP", thoughts: int = 0) -> bytes:
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": thoughts}
    parts = [{"text": "I wonder.", "thought": True}] if thoughts else []
    candidate = {"content": {"parts": [*parts, {"text": text}], "role": "model"}, "finishReason": finish}
    return json.dumps({"candidates": [candidate], "usageMetadata": usage}).encode()


Fault = Callable[[Request, int], "Reply | str | None"]


@dataclass
class Server:
    """fault: what a request meets, by the request and how often its prompt came before: a reply, DROP, STALL, None."""

    latency: float = 0.0
    fault: Fault = lambda request, before: None
    tokens: tuple[int, int] | None = (10, 5)
    requests: list[Request] = field(default_factory=list)
    came: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    flying: int = 0
    most_flying: int = 0
    address: str = ""
    progress: threading.Condition = field(default_factory=threading.Condition)

    @property
    def openai(self) -> str:
        return f"{self.address}/v1"

    @property
    def gemini(self) -> str:
        return f"{self.address}/v1beta"

    def wait_for(self, requests: int) -> None:
        """Until that many requests have come in all."""
        with self.progress:
            assert self.progress.wait_for(lambda: len(self.requests) >= requests, timeout=60)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while request := await _read(reader):
                reply = await self._reply(request)
                if reply is None:
                    break
                _write(writer, *reply)
                await writer.drain()
        writer.close()

    async def _reply(self, request: Request) -> Reply | None:
        before = self.came[request.prompt]
        self.came[request.prompt] += 1
        with self.progress:
            self.requests.append(request)
            self.progress.notify_all()
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        try:
            met = self.fault(request, before)
            await asyncio.sleep(3600 if met == STALL else self.latency)
        finally:
            self.flying -= 1
        if met == DROP:
            return None
        if isinstance(met, tuple):
            return met
        self.answered[request.prompt] += 1
        text = words(request)
        return 200, {}, gemini_reply(text) if request.gemini else openai_reply(text, tokens=self.tokens)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(first.split()[1], headers, json.loads(body))


def _write(writer: asyncio.StreamWriter, status: int, headers: dict[str, str], body: bytes) -> None:
    named = {"Content-Type": "application/json", **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    writer.write(f"HTTP/1.1 {status} Said\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)


@contextlib.contextmanager
def serving(**settings: Any) -> Iterator[Server]:
    """A server in a thread of its own, on a free port."""
    server, loop = Server(**settings), asyncio.new_event_loop()
    listening = loop.run_until_complete(asyncio.start_server(server.connected, "127.0.0.1", 0, limit=2**24))
    server.address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        listening.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()

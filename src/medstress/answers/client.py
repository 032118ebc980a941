"""A model behind an interface of the web, asked with many requests in flight."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import httpx2

from medstress.answers.ask import Answer, Ask, Failure
from medstress.answers.pace import Pace
from medstress.answers.retry import Patience, trouble_of
from medstress.answers.secret import Secret
from medstress.answers.signals import signals_between_callbacks
from medstress.answers.spend import Spend
from medstress.answers.wire import MalformedError, StopError, Trouble, Wire
from medstress.seeds import generator, seed_of

for _library in ("httpx2", "httpcore2"):
    # They would log a line or more for each request, and whatever a server says back, even the key.
    logging.getLogger(_library).setLevel(logging.WARNING)

Note = Callable[[int, Literal["sent", "error"]], None]
"""Told of an ask's number whenever a request for it is about to leave, and when one came back with an error."""


def _unnoted(index: int, event: Literal["sent", "error"]) -> None:
    pass


@dataclass(frozen=True)
class ApiClient:
    """What a server is asked with. timeout: seconds of one request. concurrency: most requests in flight."""

    wire: Wire
    secret: Secret
    spend: Spend
    concurrency: int
    timeout: float
    patience: Patience = field(default_factory=Patience)

    def answer(self, asks: Sequence[Ask], note: Note = _unnoted) -> Iterator[tuple[int, Answer | Failure]]:
        """Each ask's number with its answer as they arrive; at most `concurrency` are sent and not yet taken.

        Raises StopError, after what was in flight, where no further request makes sense: a refused key, a used-up
        quota, the spending limit, or a server that fails one ask after another; and what a handler of a signal raises.
        """
        with asyncio.Runner() as runner:
            flight = _Flight(self, asks, note)
            with signals_between_callbacks(runner.get_loop(), flight.stop):
                runner.run(flight.start())
                while landed := runner.run(flight.landed()):
                    yield from landed
                runner.run(flight.end())
        if flight.stopped is not None:
            raise flight.stopped


class _Flight:
    """One call of `answer`: workers that take the next ask each, inside one event loop."""

    def __init__(self, client: ApiClient, asks: Sequence[Ask], note: Note) -> None:
        self._client, self._asks, self._note = client, asks, note
        self._waiting = iter(range(len(asks)))
        self._rng = generator(seed_of("retry", client.wire.url()))
        self._failures = 0
        self._sending: set[asyncio.Task[None] | None] = set()
        self._taken: list[asyncio.Future[None]] = []
        self._workers: list[asyncio.Task[None]] = []
        self.stopped: BaseException | None = None

    async def start(self) -> None:
        """Set the workers off."""
        client = self._client
        self._pace, self._settled = Pace(client.concurrency), asyncio.Event()
        self._landed: asyncio.Queue[tuple[int, Answer | Failure, asyncio.Future[None]] | None] = asyncio.Queue()
        self._http = httpx2.AsyncClient(
            headers={"User-Agent": "medstress", **client.secret.headers(*client.wire.key_header)},
            timeout=None,  # asyncio.timeout is around every request, and covers a server that dribbles
            limits=httpx2.Limits(max_connections=client.concurrency, max_keepalive_connections=client.concurrency),
            verify=client.wire.url().startswith("https"),  # reading certificates takes a while
        )
        workers = min(client.concurrency, len(self._asks))
        self._workers = [asyncio.create_task(self._work()) for _ in range(workers)]
        self._all = asyncio.create_task(self._close_when_done())

    async def landed(self) -> list[tuple[int, Answer | Failure]]:
        """What has arrived since, at least one; nothing when all has. What came before is in safe hands by now."""
        for future in self._taken:
            if not future.done():
                future.set_result(None)
        found, self._taken = [], []
        first = await self._landed.get()
        while first is not None:
            index, answer, taken = first
            found.append((index, answer))
            self._taken.append(taken)
            if self._landed.empty():
                break
            first = self._landed.get_nowait()
        else:
            if found:
                self._landed.put_nowait(None)
        return found

    async def end(self) -> None:
        """Let go of the connections."""
        await self._all
        await self._http.aclose()

    async def _close_when_done(self) -> None:
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._landed.put_nowait(None)

    async def _work(self) -> None:
        try:
            for index in self._waiting:
                if self.stopped is not None:
                    return
                answer = await self._answered(index)
                taken = asyncio.get_running_loop().create_future()
                self._landed.put_nowait((index, answer, taken))
                self._count(answer)
                await taken  # so that no worker is more than one answer ahead of whoever keeps them
        except Exception as error:
            self.stop(error)

    async def _answered(self, index: int) -> Answer | Failure:
        """An ask put until it is answered or has failed for good."""
        client, ask = self._client, self._asks[index]
        broken = limited = 0
        while True:
            async with self._pace.slot() as begun:
                reply = await self._sent(index, ask)
            if isinstance(reply, Answer):
                self._pace.went_well()
                return reply
            if reply.crowded:
                self._pace.crowded(begun)
            if reply.then == "stop":
                raise StopError(f"{_shown(client.wire)}: {reply.reason}")
            if reply.then == "never":
                return Failure(reply.reason)
            if self.stopped is not None:
                raise StopError(str(self.stopped))  # no further request leaves
            broken, limited = broken + (not reply.limited), limited + reply.limited
            if broken >= client.patience.tries or limited >= client.patience.limited_tries:
                return Failure(f"{reply.reason}, {broken + limited} times")
            if reply.wait is not None and reply.wait > client.patience.longest_asked:
                raise StopError(
                    f"{_shown(client.wire)}: {reply.reason}, and wants {reply.wait:.0f} s of rest. Run again then."
                )
            wait = client.patience.wait(broken + limited, reply.wait, self._rng)
            if reply.wait is not None:
                self._pace.hold(reply.wait)
            await asyncio.sleep(wait)

    async def _sent(self, index: int, ask: Ask) -> Answer | Trouble:
        """One request, reserved for before it leaves and settled when it is back."""
        spend, myself = self._client.spend, asyncio.current_task()
        cost = spend.worst(ask)
        while not spend.reserve(cost):
            if not spend.flying:
                raise StopError(
                    f"the spending limit of {spend.limit:g} would be passed: {spend.bill().cost:.4f} are spent, "
                    f"{spend.bill().uncertain:.4f} more may have been charged for requests without an answer, and the "
                    f"next can cost {cost:.4f}. Raise spending_limit in the card to go on."
                )
            self._settled.clear()
            await self._settled.wait()
            cost = spend.worst(ask)
        self._sending.add(myself)
        reply: Answer | Trouble = Trouble("the request was given up", "stop", perhaps_paid=True)
        try:
            self._note(index, "sent")
            reply = await self._exchange(ask)
            if isinstance(reply, Trouble) and not reply.perhaps_paid:
                self._note(index, "error")
        finally:
            self._sending.discard(myself)
            if isinstance(reply, Answer):
                spend.settle(cost, ask, reply)
            else:
                spend.drop(cost, perhaps_paid=reply.perhaps_paid)
            self._settled.set()
        return reply

    async def _exchange(self, ask: Ask) -> Answer | Trouble:
        """A request and what came of it. No exception of the HTTP library leaves: they carry the request's headers."""
        client = self._client
        try:
            async with asyncio.timeout(client.timeout):
                response = await self._http.post(client.wire.url(), json=client.wire.body(ask))
        except TimeoutError:
            return Trouble(f"no reply in {client.timeout:g} s", "again", crowded=True, perhaps_paid=True)
        except httpx2.ConnectError as error:
            return Trouble(f"cannot be reached ({client.secret.hidden(str(error))})", "again")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return Trouble(f"the connection broke ({type(error).__name__})", "again", perhaps_paid=True)
        return self._read(response)

    def _read(self, response: httpx2.Response) -> Answer | Trouble:
        wire, secret = self._client.wire, self._client.secret
        try:
            reply: Any = json.loads(response.content)
        except (ValueError, RecursionError):
            reply = None
        if response.status_code == 200:
            try:
                answer = wire.answer(reply)
            except MalformedError as error:
                what = "no JSON" if reply is None else str(error)
                return Trouble(f"the reply is malformed: {what}", "again", perhaps_paid=True)
            return replace(answer, text=secret.hidden_in_answer(_whole(answer.text)))
        complaint = wire.complaint(response.status_code, reply)
        if complaint.blocked:
            return Answer("", None, None, "blocked")  # Azure charges for these, and does not say how much
        said = secret.hidden(_whole(complaint.message))[:300]  # in this order: half a key is none that could be found
        return trouble_of(response.status_code, response.headers, replace(complaint, message=said), secret.variable)

    def _count(self, answer: Answer | Failure) -> None:
        self._failures = self._failures + 1 if isinstance(answer, Failure) else 0
        if isinstance(answer, Failure) and self._failures >= self._client.patience.failures:
            raise StopError(
                f"{_shown(self._client.wire)}: {self._failures} questions in a row failed, the last because "
                f"{answer.error}. Look at the server and the card, then run again."
            )

    def stop(self, error: BaseException) -> None:
        """Let no further request leave: those in flight go on, all that wait are ended."""
        self.stopped = self.stopped or error
        for worker in self._workers:
            if worker not in self._sending and worker is not asyncio.current_task():
                worker.cancel()


def _whole(text: str) -> str:
    """A text without halves of characters, which JSON can escape and no record can hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _shown(wire: Wire) -> str:
    return wire.url().removesuffix("/chat/completions")

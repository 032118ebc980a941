"""What the clients of all servers have in common: what goes over the wire, and what comes back."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from medstress.answers.ask import Answer, Ask
from medstress.errors import MedstressError


class StopError(MedstressError):
    """No further request may leave. What was in flight has been waited for."""


class MalformedError(Exception):
    """A reply that is not what the server's interface promises."""


@dataclass(frozen=True)
class Complaint:
    """What an error reply says, read by the wire that knows its format.

    exhausted: the quota or balance is used up, which no waiting helps. wait: seconds after which to try again.
    setting: the model refuses a setting of the card, so it will refuse every request. blocked: a filter of the server
    took offence at the question.
    """

    message: str
    exhausted: bool = False
    wait: float | None = None
    setting: bool = False
    blocked: bool = False


@dataclass(frozen=True)
class Trouble:
    """A request that brought no answer.

    then: what follows, for this ask (again, never) or for all (stop). crowded: fewer at a time might have helped.
    limited: the server is well and only asks for patience. perhaps_paid: the server may have answered and charged.
    """

    reason: str
    then: Literal["again", "never", "stop"]
    wait: float | None = None
    crowded: bool = False
    limited: bool = False
    perhaps_paid: bool = False


class Wire(Protocol):
    """The format of one kind of server."""

    key_header: ClassVar[tuple[str, str]]
    """The header that carries the key, and what stands in it before the key."""

    def url(self) -> str:
        """Where requests are posted."""
        ...

    def body(self, ask: Ask) -> dict[str, Any]:
        """The request, to be sent as JSON."""
        ...

    def answer(self, reply: Any) -> Answer:
        """The answer in a reply of status 200. Raises MalformedError."""
        ...

    def complaint(self, status: int, reply: Any) -> Complaint:
        """What a reply of another status says; `reply` is None where it was no JSON."""
        ...


def counted(usage: Any, *names: str) -> int | None:
    """The sum of token counts of a reply, None where the first is not there or less than nothing."""
    counts = [usage.get(name) if isinstance(usage, dict) else None for name in names]
    there = [count for count in counts if isinstance(count, int) and count >= 0]
    return sum(there) if there[:1] == counts[:1] else None


def objects_of(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; none where it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def error_of(reply: Any) -> dict[str, Any]:
    """The `error` object of a reply, {} where it has none; some gateways wrap it into a list."""
    if isinstance(reply, list) and reply:
        reply = reply[0]
    error = reply.get("error") if isinstance(reply, dict) else None
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else {}

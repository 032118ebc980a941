"""A list of asks answered, from the journal as far as it goes and by the generator for the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medstress.answers.ask import Answer, Ask, Failure, GenerationSettings, Generator, answer_key
from medstress.answers.client import ApiClient
from medstress.answers.journal import Journal
from medstress.answers.wire import StopError
from medstress.errors import MedstressError


@dataclass(frozen=True)
class Answered:
    """The answers, in the order of the asks, and how they came about.

    asked: distinct asks put to the generator. reused: asks whose answer was there, kept by an earlier run or given to
    the same question about the same image in this one. failed: asks without an answer. repeated: requests that were
    sent although an earlier one may have been answered, by a process that was killed or a connection that broke.
    """

    answers: tuple[Answer | Failure, ...]
    asked: int
    reused: int
    failed: int
    repeated: int


def answer_all(
    client: Generator | ApiClient,
    asks: Sequence[Ask],
    journal: Journal,
    model: str,
    settings: GenerationSettings,
    booked: set[bytes] | None = None,
) -> Answered:
    """Answer asks; each answer is in the journal before the next is taken.

    model: what stands for the model in keys (see :func:`medstress.answers.ask.answer_key`). A failure is in no
    journal. booked: keys that are on the bill already, of a run that is asked in several calls; grows. Raises
    MedstressError where the client stops for good; what was answered is kept.
    """
    keys = [answer_key(model, settings, ask) for ask in asks]
    by_key = dict(zip(reversed(keys), reversed(range(len(asks))), strict=True))  # the first ask of each key
    known: dict[bytes, Answer | Failure] = dict(journal.answers(by_key))
    wanted = sorted(index for key, index in by_key.items() if key not in known)
    open_asks, repeated = [asks[index] for index in wanted], journal.repeated

    def note(number: int, event: str) -> None:
        key = keys[wanted[number]]
        if event == "sent":
            journal.sent(key)
        else:
            journal.came_back(key)

    if isinstance(client, ApiClient):
        _book(client, asks, by_key, known, journal, set() if booked is None else booked)
        arriving = client.answer(open_asks, note)
    else:
        arriving = client.answer(open_asks)
    try:
        for number, answer in arriving:
            key = keys[wanted[number]]
            if isinstance(answer, Answer):
                journal.add(key, answer)
            known[key] = answer
    except StopError as stop:
        # Of all calls of the run, and of the runs before: what a person paid for.
        raise MedstressError(f"{stop} {len(journal)} answers are kept; the next run asks the rest.") from None
    answers = tuple(known[key] for key in keys)
    failed = sum(isinstance(answer, Failure) for answer in answers)
    return Answered(answers, len(wanted), len(asks) - len(wanted), failed, journal.repeated - repeated)


def book_earlier(
    client: ApiClient,
    asks: Sequence[Ask],
    journal: Journal,
    model: str,
    settings: GenerationSettings,
    booked: set[bytes],
) -> None:
    """Put on the bill what earlier processes spent on asks, each once: the limit is one of the run, not of a process.

    A run that is asked in several calls of :func:`answer_all` does so for all of them before the first.
    """
    by_key = {answer_key(model, settings, ask): index for index, ask in enumerate(asks)}
    _book(client, asks, by_key, journal.answers(by_key), journal, booked)


def _book(
    client: ApiClient,
    asks: Sequence[Ask],
    by_key: Mapping[bytes, int],
    known: Mapping[bytes, Answer | Failure],
    journal: Journal,
    booked: set[bytes],
) -> None:
    for key, index in by_key.items():
        if key in booked:
            continue
        booked.add(key)
        answer = known.get(key)
        if isinstance(answer, Answer):
            client.spend.book(asks[index], answer)
        if requests := journal.uncertain(key):
            client.spend.book_uncertain(asks[index], requests)

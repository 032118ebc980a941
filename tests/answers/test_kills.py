"""Twenty kills and every fault: no kept answer is lost or asked again, and no more is repeated than was in flight."""

import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from medstress.answers.api import identity_of, settings_of
from medstress.answers.ask import Answer, answer_key
from medstress.answers.journal import Journal
from medstress.answers.run import Answered, answer_all
from medstress.cards.generator import OpenAiApi
from tests.answers.asks import ask, client_of, openai_card
from tests.answers.server import DROP, STALL, openai_reply, serving, told

ASKS, KILLS, IN_FLIGHT = 1000, 20, 8
QUESTIONS = [ask(f"question {number}", image=b"picture %d" % number) for number in range(ASKS)]
UNHEARD = (DROP, STALL, (200, {}, b'{"choices": [{"mess'))
"""Faults after which nobody knows whether the question was answered, and paid."""
FAULTS = (told(429, {"message": "slow down"}, Retry_After="0"), told(500, {"message": "oh"}), *UNHEARD)
FAULTY = {QUESTIONS[number].prompt: FAULTS[number // 10 % len(FAULTS)] for number in range(7, ASKS, 10)}
EMPTY = {QUESTIONS[number].prompt for number in range(3, ASKS, 50)}
BLOCKED = {QUESTIONS[number].prompt for number in range(4, ASKS, 50)}


class TellingJournal(Journal):
    """A journal whose process says of every answer that it has been kept."""

    told: Connection

    def add(self, key: bytes, answer: Answer) -> None:
        super().add(key, answer)
        self.told.send_bytes(key)


def asking(card: OpenAiApi, folder: Path, told: Connection) -> None:
    with TellingJournal(folder) as journal:
        journal.told = told
        answered(card, journal)


def answered(card: OpenAiApi, journal: Journal) -> Answered:
    return answer_all(client_of(card), QUESTIONS, journal, identity_of(card), settings_of(card))


def fault(request, before):
    if before == 0 and request.prompt in FAULTY:
        return FAULTY[request.prompt]
    if request.prompt in EMPTY:
        return 200, {}, openai_reply("")
    return (200, {}, openai_reply(None, "content_filter")) if request.prompt in BLOCKED else None


def received(told: Connection) -> set[bytes]:
    found = set()
    try:
        while told.poll():
            found.add(told.recv_bytes())
    except EOFError:
        pass
    return found


def test_nothing_kept_is_lost_or_asked_again(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.answers.test_kills"])
    rng = np.random.default_rng(20)
    with serving(latency=0.004, fault=fault) as server:
        card = openai_card(server, concurrency=IN_FLIGHT, timeout=0.4)
        key = {one.prompt: answer_key(identity_of(card), settings_of(card), one) for one in QUESTIONS}
        kept: set[str] = set()

        def wasted() -> int:
            """Requests that came and brought no answer that was kept, though nothing was wrong with the server."""
            return len(server.requests) - len(kept) - sum(prompt in FAULTY for prompt in server.came)

        for kill in range(1, KILLS + 1):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=asking, args=(card, tmp_path, theirs))
            so_far = len(server.requests)
            process.start()
            theirs.close()
            server.wait_for(so_far + int(rng.integers(10, 70)))
            time.sleep(rng.uniform(0, 0.01))
            process.kill()
            process.join()
            assert process.exitcode == -9
            assert kept.isdisjoint(request.prompt for request in server.requests[so_far:])
            with Journal(tmp_path) as journal:
                assert set(journal.answers(key.values())) >= received(ours) | {key[prompt] for prompt in kept}
                kept = {prompt for prompt in key if key[prompt] in journal}
                assert journal.damaged == 0
            assert wasted() <= kill * IN_FLIGHT
        assert 0 < len(kept) < ASKS
        so_far = len(server.requests)
        with Journal(tmp_path) as journal:
            last = answered(card, journal)
            uncertain = sum(journal.uncertain(one) for one in key.values())
        assert kept.isdisjoint(request.prompt for request in server.requests[so_far:])
        assert (last.asked, last.reused, last.failed) == (ASKS - len(kept), len(kept), 0)
        kept = set(key)
        unheard = sum(one in UNHEARD for one in FAULTY.values())
        assert wasted() <= uncertain - unheard <= KILLS * IN_FLIGHT  # all that was repeated has been counted
    for question, answer in zip(QUESTIONS, last.answers, strict=True):
        if question.prompt in BLOCKED:
            assert (answer.text, answer.finish) == ("", "blocked")
        else:
            assert answer.text.startswith("" if question.prompt in EMPTY else f"{question.prompt} ")

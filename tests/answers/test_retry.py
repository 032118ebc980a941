"""What is tried again, what is not, and what ends the run."""

import time
from email.utils import formatdate

import numpy as np
import pytest

from medstress.answers.ask import Answer, Failure
from medstress.answers.retry import Patience, retry_after
from medstress.answers.wire import StopError
from tests.answers.asks import CARDS, HASTY, ask, client_of, gemini_card, openai_card
from tests.answers.server import DROP, STALL, told

INSUFFICIENT = {
    "message": "You exceeded your current quota",
    "type": "insufficient_quota",
    "code": "insufficient_quota",
}


def gemini_quota(quota: str) -> dict:
    return {
        "code": 429,
        "status": "RESOURCE_EXHAUSTED",
        "message": "You exceeded your current quota",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota}]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.05s"},
        ],
    }


@pytest.mark.parametrize(
    "fault",
    [
        told(429, {"message": "slow down", "code": "rate_limit_exceeded"}),
        told(429, {"message": "slow down"}, Retry_After="0.03"),
        told(429, {"message": "slow down"}, retry_after_ms="30"),
        told(429, {"message": "slow down"}, Retry_After=formatdate(usegmt=True)),
        told(429, gemini_quota("GenerateRequestsPerMinutePerProjectPerModel")),
        told(408, {}),
        told(500, {}),
        told(502, {}),
        (503, {}, b"<html>busy</html>"),
        told(504, {}),
        DROP,
        STALL,
    ],
    ids=lambda fault: str(fault)[:40],
)
@pytest.mark.parametrize("kind", CARDS)
def test_what_passes_is_tried_again(server, kind, fault):
    server.fault = lambda request, before: fault if before < 2 else None
    ((_, answer),) = client_of(CARDS[kind](server, timeout=0.2 if fault == STALL else 60)).answer([ask("q")])
    assert isinstance(answer, Answer)
    assert server.came["q"] == 3


@pytest.mark.parametrize("status", [400, 403, 405, 413, 422])
def test_what_is_wrong_with_a_question_is_asked_once(server, status):
    server.fault = lambda request, before: told(status, {"message": "bad picture"}) if request.prompt == "bad" else None
    answers = dict(client_of(openai_card(server)).answer([ask("good"), ask("bad"), ask("fine")]))
    assert answers[1] == Failure(f"the server answers {status} (bad picture)")
    assert isinstance(answers[0], Answer)
    assert isinstance(answers[2], Answer)
    assert server.came["bad"] == 1


@pytest.mark.parametrize(
    ("card", "fault", "said"),
    [
        (openai_card, told(429, INSUFFICIENT), "quota or balance is used up"),
        (openai_card, told(402, {"message": "Insufficient Balance"}), "quota or balance is used up"),
        (gemini_card, told(429, gemini_quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier")), "is used up"),
        (
            openai_card,
            told(401, {"message": "Incorrect API key"}),
            "a key is wanted: name its variable in key_variable",
        ),
        (gemini_card, told(404, {"message": "no such model"}), "look at base_url and model"),
        (openai_card, told(400, {"code": "unsupported_parameter", "message": "max_tokens"}), "max_completion_tokens"),
        (openai_card, told(429, {"message": "rest"}, Retry_After="86400"), "wants 86400 s of rest"),
    ],
)
def test_what_no_trying_helps_ends_the_run(server, card, fault, said):
    server.latency = 0.02
    server.fault = lambda request, before: fault if int(request.prompt) >= 20 else None
    answers = {}
    with pytest.raises(StopError, match=said):
        for index, answer in client_of(card(server, concurrency=4)).answer([ask(str(index)) for index in range(100)]):
            answers[index] = answer
    assert {index for index in answers if index < 20} == set(range(20))  # what was in flight came through
    assert all(isinstance(answer, Answer) for answer in answers.values())
    assert len(server.came) <= 20 + 4
    assert set(server.came.values()) == {1}


def test_a_server_that_is_gone_ends_the_run(server):
    card = openai_card(server, base_url="http://127.0.0.1:1/v1", concurrency=4)
    seen = []
    with pytest.raises(StopError, match=r"10 questions in a row failed.*cannot be reached"):
        seen.extend(client_of(card).answer([ask(str(index)) for index in range(100)]))
    assert 10 <= len(seen) <= 14


def test_failures_between_answers_do_not_end_the_run(server):
    server.fault = lambda request, before: told(400, {}) if int(request.prompt) % 2 else None
    answers = dict(client_of(openai_card(server, concurrency=1)).answer([ask(str(index)) for index in range(60)]))
    assert sum(isinstance(answer, Failure) for answer in answers.values()) == 30


def test_a_limit_that_lasts_is_given_up(server):
    server.fault = lambda request, before: told(429, {"message": "slow down"})
    ((_, answer),) = client_of(openai_card(server)).answer([ask("q")])
    assert answer == Failure("the server answers 429 (slow down), 5 times")
    assert server.came["q"] == HASTY.limited_tries


def test_all_wait_when_the_server_asks_for_it(server):
    arrivals = []

    def fault(request, before):
        arrivals.append(time.monotonic())
        return told(429, {}, Retry_After="0.3") if len(arrivals) == 1 else None

    server.fault = fault
    list(client_of(openai_card(server, concurrency=1)).answer([ask("a"), ask("b")]))
    assert arrivals[1] - arrivals[0] >= 0.3


def test_waits_grow_are_bounded_and_are_drawn_from_a_seed():
    patience = Patience(first_wait=1, longest_wait=20)

    def waits() -> list[float]:
        rng = np.random.default_rng(1)
        return [patience.wait(tried, None, rng) for tried in range(1, 200)]

    assert waits() == waits()
    for tried, wait in enumerate(waits(), start=1):
        most = min(20.0, 2.0 ** (tried - 1))
        assert most / 2 <= wait <= most
    assert 7 <= patience.wait(3, 7.0, np.random.default_rng(1)) <= 7.4


def test_retry_after_is_seconds_or_a_date():
    assert retry_after({"retry-after": "12"}) == 12
    assert retry_after({"retry-after-ms": "1500", "retry-after": "2"}) == 1.5
    assert 50 < retry_after({"retry-after": formatdate(time.time() + 60, usegmt=True)}) <= 60
    assert retry_after({"retry-after": formatdate(time.time() - 60, usegmt=True)}) == 0
    for strange in ("soon", "\xb2", "-1"):
        assert retry_after({"retry-after": strange}) is None
        assert retry_after({"retry-after-ms": strange}) is None
    assert retry_after({}) is None


def test_after_a_stop_no_worker_takes_another_ask(server):
    server.fault = lambda request, before: told(401, {}) if request.prompt == "stop" else None
    server.latency = 0.02
    asks = [ask("stop"), *(ask(str(index)) for index in range(200))]
    with pytest.raises(StopError):
        list(client_of(openai_card(server, concurrency=4)).answer(asks))
    assert len(server.requests) <= 4


def test_after_a_stop_nothing_in_flight_is_tried_again(server):
    late = []

    def fault(request, before):
        if request.prompt == "stop":
            server.latency = 0.1
            return told(401, {})
        late.append(request.prompt)
        return told(500, {})

    server.fault = fault
    server.latency = 0.2
    with pytest.raises(StopError):
        list(client_of(openai_card(server, concurrency=3)).answer([ask("a"), ask("b"), ask("stop")]))
    assert sorted(late) == ["a", "b"]

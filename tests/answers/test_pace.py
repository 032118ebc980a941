"""As many requests in flight as the server bears."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from medstress.answers.ask import Answer
from medstress.answers.pace import Pace
from tests.answers.asks import ask, client_of, openai_card
from tests.answers.server import told


def test_the_bound_holds_and_is_reached(server):
    server.latency = 0.03
    answers = list(client_of(openai_card(server, concurrency=12)).answer([ask(str(index)) for index in range(120)]))
    assert len(answers) == 120
    assert 4 < server.most_flying <= 12


def test_a_crowded_server_sees_fewer_at_a_time(server):
    server.latency = 0.01
    seen = []

    def fault(request, before):
        seen.append(server.flying)
        return told(429, {"message": "crowded"}) if server.flying > 6 else None

    server.fault = fault
    answers = dict(client_of(openai_card(server, concurrency=32)).answer([ask(str(index)) for index in range(200)]))
    assert all(isinstance(answer, Answer) for answer in answers.values())
    assert sum(flying > 6 for flying in seen) < 60
    assert sum(seen[100:]) / len(seen[100:]) < 8


def run(story: Callable[[Pace], Coroutine[Any, Any, None]], most: int) -> Pace:
    async def told_to() -> Pace:
        pace = Pace(most)
        await story(pace)
        return pace

    return asyncio.run(told_to())


def test_it_doubles_halves_once_a_round_and_grows_slowly_then():
    async def story(pace: Pace) -> None:
        assert pace.limit == 4
        for _ in range(4):
            pace.went_well()
        assert pace.limit == 8
        async with pace.slot() as begun, pace.slot() as same:
            pace.crowded(begun)
            pace.crowded(same)
        assert pace.limit == 4
        for _ in range(4):
            pace.went_well()
        assert pace.limit == 5
        for _ in range(1000):
            pace.went_well()
        assert pace.limit == 16

    run(story, most=16)


def test_slots_in_use_are_paid_back_after_a_halving():
    async def story(pace: Pace) -> None:
        inside = most = 0

        async def work() -> None:
            nonlocal inside, most
            async with pace.slot():
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.001)
                inside -= 1

        async with pace.slot() as begun, pace.slot(), pace.slot(), pace.slot():
            pace.crowded(begun)
            assert pace.limit == 2
            pace.crowded(begun + 1)
            assert pace.limit == 1
        await asyncio.gather(*(work() for _ in range(8)))
        assert most == 1

    run(story, most=4)


def test_never_fewer_than_one():
    async def story(pace: Pace) -> None:
        for turn in range(10):
            pace.crowded(turn)
        async with pace.slot():
            assert pace.limit == 1

    run(story, most=32)

"""A process that is told to end does, whatever its event loop was at."""

import asyncio
import os
import signal

import pytest

from medstress.answers.signals import signals_between_callbacks
from medstress.errors import MedstressError
from tests.answers.asks import ask, client_of, openai_card
from tests.answers.server import told


def raising(number, frame):
    raise MedstressError("stopped by a signal")


@pytest.fixture
def handler():
    before = signal.signal(signal.SIGTERM, raising)
    yield raising
    signal.signal(signal.SIGTERM, before)


def test_a_callback_does_not_swallow_the_signal(handler):
    stopped = []
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        with signals_between_callbacks(loop, stopped.append):
            loop.call_soon(os.kill, os.getpid(), signal.SIGTERM)
            runner.run(asyncio.sleep(0.05))
    assert [str(error) for error in stopped] == ["stopped by a signal"]
    assert signal.getsignal(signal.SIGTERM) is handler


def test_what_is_in_flight_is_kept_and_no_more_is_asked(server, handler):
    def fault(request, before):
        if len(server.requests) == 20:
            os.kill(os.getpid(), signal.SIGTERM)

    server.fault, server.latency = fault, 0.02
    with pytest.raises(MedstressError, match="stopped by a signal"):
        list(client_of(openai_card(server, concurrency=8)).answer([ask(str(index)) for index in range(500)]))
    assert 20 <= len(server.requests) < 60
    assert server.answered.total() == len(server.requests)
    assert signal.getsignal(signal.SIGTERM) is handler


def test_without_a_handler_signals_stay_as_they_are(server):
    before = signal.getsignal(signal.SIGTERM)
    server.fault = lambda request, before: told(400, {})
    assert len(list(client_of(openai_card(server)).answer([ask()]))) == 1
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.fixture
def control_c():
    # A shell starts what it runs in the background with Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_control_c_ends_the_run_and_a_second_one_at_once(server, control_c):
    def fault(request, before):
        if len(server.requests) == 20:
            os.kill(os.getpid(), signal.SIGINT)

    server.fault, server.latency = fault, 0.02
    with pytest.raises(KeyboardInterrupt):
        list(client_of(openai_card(server, concurrency=8)).answer([ask(str(index)) for index in range(500)]))
    assert server.answered.total() == len(server.requests) < 60
    with asyncio.Runner() as runner:
        loop, stopped = runner.get_loop(), []
        with signals_between_callbacks(loop, stopped.append):
            loop.call_soon(os.kill, os.getpid(), signal.SIGINT)
            runner.run(asyncio.sleep(0.05))
            assert len(stopped) == 1
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

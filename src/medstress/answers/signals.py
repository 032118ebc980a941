"""Ctrl-C and SIGTERM while an event loop runs.

A handler that raises does so wherever the process is: in a callback of the loop, asyncio logs the error and goes on,
and the signal is lost. Here the loop calls it between callbacks.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def signals_between_callbacks(loop: asyncio.AbstractEventLoop, stop: Callable[[BaseException], None]) -> Iterator[None]:
    """Hand what the process's own handlers raise to `stop`, while `loop` is used; then put them back.

    That is so of the first signal of a kind; a second does at once what it would do without this. Signals without a
    handler in Python stay as they are, and so do all outside the main thread.
    """
    there = {number: signal.getsignal(number) for number in _ENDING}
    handlers = {number: handler for number, handler in there.items() if callable(handler)}
    if threading.current_thread() is not threading.main_thread():
        handlers = {}

    def put_back(number: signal.Signals) -> None:
        if loop.remove_signal_handler(number):
            signal.signal(number, handlers[number])

    def called(number: signal.Signals) -> None:
        put_back(number)
        try:
            handlers[number](number, None)
        except BaseException as error:
            stop(error)

    for number in handlers:
        loop.add_signal_handler(number, called, number)
    try:
        yield
    finally:
        for number in handlers:
            put_back(number)

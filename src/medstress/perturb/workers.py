"""Spreads images over processes."""

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

import cv2

Item = TypeVar("Item")
Made = TypeVar("Made")

# Tasks that wait for each worker: enough to keep it busy, few enough to hold no more than a few images.
_WAITING = 4


def _start_worker() -> None:
    _one_thread()
    # Ctrl-C goes to the workers, too; they end without a word, and the process that started them speaks.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _one_thread() -> None:
    # Work is spread over processes; threads inside each would only compete.
    cv2.setNumThreads(1)


def _submit(pool: ProcessPoolExecutor, make: Callable[[Item], Made], item: Item) -> Future[Made]:
    # This may start a worker, which inherits the mask: Ctrl-C waits until it is ready to end without a word.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(make, item)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def in_order(make: Callable[[Item], Made], items: Iterable[Item], workers: int) -> Iterator[tuple[Item, Made]]:
    """Each item with what `make` makes of it, in the order of the items, with a bounded number of items at work.

    With more than one worker, `make`, the items and the results have to be picklable.
    """
    if workers == 1:
        _one_thread()
        for item in items:
            yield item, make(item)
        return
    waiting: deque[tuple[Item, Future[Made]]] = deque()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker) as pool:
        for item in items:
            waiting.append((item, _submit(pool, make, item)))
            if len(waiting) >= workers * _WAITING:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()

"""Wall time of what a device does."""

import time
from collections.abc import Callable

import torch

_ROUNDS = 3


def synchronise(device: torch.device) -> None:
    """Wait for what the device was asked for; a CPU is done when it returns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(run: Callable[[], object], device: torch.device, rounds: int = _ROUNDS) -> float:
    """The shortest wall time of some rounds, after one that warms up."""
    run()
    times = []
    for _ in range(rounds):
        synchronise(device)
        started = time.perf_counter()
        run()
        synchronise(device)
        times.append(time.perf_counter() - started)
    return min(times)

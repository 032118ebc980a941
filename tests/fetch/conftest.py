"""A server on this machine, and no trace of the machine's own settings."""

from collections.abc import Iterator

import pytest

from medstress.fetch.http import Patience
from tests.fetch.server import Server, serving

HASTY = Patience(tries=3, first_wait=0.001, longest_wait=0.01, silence=5)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MEDSTRESS_MIRROR", "HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.fixture
def other_server() -> Iterator[Server]:
    with serving() as running:
        yield running

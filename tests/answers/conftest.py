"""A server on this machine, and no trace of the machine's own proxies."""

from collections.abc import Iterator

import pytest

from tests.answers.server import Server, serving


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running

"""The key goes to the server, and nowhere else."""

import logging
import pickle
import traceback

import pytest

from medstress.answers.api import identity_of, settings_of
from medstress.answers.ask import Failure
from medstress.answers.journal import Journal
from medstress.answers.run import answer_all
from medstress.answers.secret import Secret
from medstress.errors import MedstressError
from tests.answers.asks import CARDS, ask, client_of, openai_card
from tests.answers.server import DROP, STALL, gemini_reply, openai_reply, told

KEY = "sk-proj-0123456789-abcdefghij"
FAULTS = {
    "refused": lambda request: told(401, {"message": f"Incorrect API key provided: {KEY}. {'x' * 250}{KEY}"}),
    "said back": lambda request: told(400, {"message": f"{'x' * 290}{KEY}"}),
    "in an answer": lambda request: (200, {}, gemini_reply(KEY) if request.gemini else openai_reply(f"yes {KEY}")),
    "dropped": lambda request: DROP,
    "silent": lambda request: STALL,
    "malformed": lambda request: (200, {}, f"{KEY}".encode()),
    "no http": lambda request: (200, {"Bad\x00Header": KEY}, b""),
    "led away": lambda request: (307, {"Location": "http://127.0.0.1:1/v1"}, b""),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", CARDS)
def test_no_fault_brings_it_to_light(server, tmp_path, caplog, capfd, kind, fault):
    server.fault = lambda request, before: FAULTS[fault](request)
    card = CARDS[kind](server, key_variable="THE_KEY", timeout=0.1 if fault == "silent" else 60, concurrency=2)
    client = client_of(card, THE_KEY=KEY)
    shown = [repr(client), str(vars(client))]
    caplog.set_level(logging.DEBUG)
    with Journal(tmp_path) as journal:
        try:
            done = answer_all(
                client, [ask(str(index)) for index in range(3)], journal, identity_of(card), settings_of(card)
            )
            shown.append(repr(done))
        except MedstressError as error:
            ours = error.__traceback__.tb_next  # this frame has the server in it
            lines = traceback.TracebackException(type(error), error, ours, capture_locals=True).format()
            shown += [repr(error), *lines, repr(error.__context__), repr(error.__cause__)]
    assert KEY in str(server.requests[0].headers)
    shown += [caplog.text, *capfd.readouterr()]
    shown += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*")]
    for text in shown:
        assert KEY[:12] not in text


def test_it_cannot_be_printed_or_stored():
    secret = Secret("THE_KEY", {"THE_KEY": KEY})
    assert KEY not in f"{secret} {secret!r}"
    with pytest.raises(TypeError, match="not stored"):
        pickle.dumps(secret)


def test_a_missing_or_broken_key_is_named_and_not_shown():
    with pytest.raises(MedstressError, match=r"the environment has no THE_KEY.*export THE_KEY=\.\.\."):
        Secret("THE_KEY", {})
    with pytest.raises(MedstressError, match="what is in THE_KEY cannot be a key") as caught:
        Secret("THE_KEY", {"THE_KEY": "my secret"})
    assert "secret" not in str(caught.value)
    assert Secret("THE_KEY", {"THE_KEY": f"{KEY}\n"}).headers("X", "") == {"X": KEY}


def test_a_short_key_is_no_reason_to_change_answers(server):
    server.fault = lambda request, before: (200, {}, openai_reply("EMPTY"))
    ((_, answer),) = client_of(openai_card(server, key_variable="K"), K="EMPTY").answer([ask()])
    assert answer.text == "EMPTY"


def test_a_card_takes_no_key(server):
    for address in ("https://user:key@server/v1", "https://server/v1?key=abc"):
        with pytest.raises(ValueError, match="base_url"):
            openai_card(server, base_url=address)
    with pytest.raises(ValueError, match="key"):
        openai_card(server, key=KEY)


def test_it_is_not_sent_where_a_server_points(server):
    server.fault = lambda request, before: (307, {"Location": f"{server.address}/elsewhere"}, b"")
    ((_, answer),) = client_of(openai_card(server, key_variable="K"), K=KEY).answer([ask()])
    assert answer == Failure("the server answers 307")
    assert [request.path for request in server.requests] == ["/v1/chat/completions"]

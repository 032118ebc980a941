"""What goes over the wire, and what the two kinds of server say back."""

import hashlib

import pytest

from medstress.answers.ask import Answer, Failure
from medstress.answers.gemini_api import GeminiWire
from medstress.answers.openai_api import OpenAiWire
from medstress.answers.wire import MalformedError
from tests.answers.asks import CARDS, PNG, ask, client_of, gemini_card, openai_card
from tests.answers.server import Server, gemini_reply, openai_reply, told


def answered(client, asks):
    found = dict(client.answer(asks))
    assert sorted(found) == list(range(len(asks)))
    return [found[index] for index in range(len(asks))]


@pytest.mark.parametrize("kind", CARDS)
def test_the_very_bytes_of_the_picture_travel(server, kind):
    asks = [ask("one?"), ask("two?", image=PNG * 1000), ask("three?", image=None)]
    pictures = [hashlib.sha256(one.image).hexdigest()[:8] if one.image else "-" for one in asks]
    answers = answered(client_of(CARDS[kind](server)), asks)
    assert answers == [
        Answer(f"{one.prompt} {picture}", 10, 5, "stop") for one, picture in zip(asks, pictures, strict=True)
    ]


def test_an_openai_request_has_all_that_the_card_says(server):
    card = openai_card(server, system="Be brief.", max_output_tokens=7, key_variable="THE_KEY", detail="low")
    answered(client_of(card, THE_KEY="sk-1234"), [ask("mass?")])
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer sk-1234"
    assert request.body["model"] == "it-1"
    assert request.body["messages"][0] == {"role": "system", "content": "Be brief."}
    picture, text = request.body["messages"][1]["content"]
    assert picture["image_url"]["detail"] == "low"
    assert text == {"type": "text", "text": "mass?"}
    assert (request.body["max_tokens"], request.body["temperature"]) == (7, 0)


def test_an_openai_request_leaves_out_what_a_model_refuses(server):
    card = openai_card(server, temperature=None, token_parameter="max_completion_tokens")
    answered(client_of(card), [ask()])
    (request,) = server.requests
    assert set(request.body) == {"model", "messages", "max_completion_tokens"}
    assert "authorization" not in request.headers


def test_a_gemini_request_has_all_that_the_card_says(server):
    card = gemini_card(server, system="Be brief.", max_output_tokens=7, key_variable="THE_KEY", thinking_budget=0)
    answered(client_of(card, THE_KEY="AIza-1234"), [ask("mass?")])
    (request,) = server.requests
    assert request.path == "/v1beta/models/it-1:generateContent"
    assert request.headers["x-goog-api-key"] == "AIza-1234"
    assert request.body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert request.parts[0]["inlineData"]["mimeType"] == "image/png"
    assert request.body["generationConfig"] == {
        "maxOutputTokens": 7,
        "temperature": 0,
        "thinkingConfig": {"thinkingBudget": 0},
    }


OPENAI_REPLIES = {
    openai_reply(""): Answer("", 10, 5, "stop"),
    openai_reply(None): Answer("", 10, 5, "stop"),
    openai_reply("yes and", "length"): Answer("yes and", 10, 5, "length"),
    openai_reply("", "content_filter"): Answer("", 10, 5, "blocked"),
    openai_reply(None, refusal="I cannot."): Answer("I cannot.", 10, 5, "refused"),
    openai_reply("yes", tokens=None): Answer("yes", None, None, "stop"),
}
BLOCKED = b'{"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 9}}'
GEMINI_REPLIES = {
    gemini_reply(""): Answer("", 10, 5, "stop"),
    gemini_reply("yes and", "MAX_TOKENS"): Answer("yes and", 10, 5, "length"),
    gemini_reply("", "SAFETY"): Answer("", 10, 5, "blocked"),
    gemini_reply("yes", thoughts=20): Answer("yes", 10, 25, "stop"),
    BLOCKED: Answer("", 9, None, "blocked"),
    b'{"candidates": [{"finishReason": "MAX_TOKENS"}], "usageMetadata": {"thoughtsTokenCount": 16}}': Answer(
        "", None, 16, "length"
    ),
}


@pytest.mark.parametrize(("kind", "replies"), [("openai", OPENAI_REPLIES), ("gemini", GEMINI_REPLIES)])
def test_empty_cut_refused_and_blocked_are_answers_and_asked_once(server: Server, kind, replies):
    bodies = list(replies)
    server.fault = lambda request, before: (200, {}, bodies[int(request.prompt)])
    asks = [ask(str(index)) for index in range(len(bodies))]
    assert answered(client_of(CARDS[kind](server)), asks) == list(replies.values())
    assert set(server.came.values()) == {1}


def test_a_filter_that_answers_400_has_blocked_the_question(server):
    server.fault = lambda request, before: told(400, {"code": "content_filter", "message": "no"})
    assert answered(client_of(openai_card(server)), [ask()]) == [Answer("", None, None, "blocked")]


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b"3", b'{"choices": []}', b'{"candidates": [{"content": 3}]}', b"[" * 200_000],
    ids=lambda body: str(body)[:40],
)
@pytest.mark.parametrize("kind", CARDS)
def test_a_malformed_reply_is_asked_again(server, kind, body):
    server.fault = lambda request, before: None if before else (200, {}, body)
    (answer,) = answered(client_of(CARDS[kind](server)), [ask("q")])
    assert answer.text.startswith("q ")
    assert server.came["q"] == 2


@pytest.mark.parametrize("kind", CARDS)
def test_half_a_character_can_be_stored(server, tmp_path, kind):
    half = gemini_reply("yes \ud83d") if kind == "gemini" else openai_reply("yes \ud83d")
    server.fault = lambda request, before: (
        (200, {}, half) if request.prompt == "q" else told(400, {"message": "\ud83d"})
    )
    answer, failure = answered(client_of(CARDS[kind](server)), [ask("q"), ask("bad")])
    assert answer.text == "yes \ufffd"
    (tmp_path / "record").write_text(answer.text + failure.error, encoding="utf-8")


def test_a_reply_that_stays_malformed_is_a_failure(server):
    server.fault = lambda request, before: (200, {}, b'{"choices": [{"message": {"content": 7}}]}')
    (answer,) = answered(client_of(openai_card(server)), [ask("q")])
    assert answer == Failure("the reply is malformed: the content is no text, 3 times")


def test_wires_read_nothing_into_strange_replies(server):
    for wire in (OpenAiWire(openai_card(server)), GeminiWire(gemini_card(server))):
        for reply in (
            None,
            [],
            {},
            {"choices": None},
            {"candidates": None},
            {"candidates": [{"content": {"parts": 1}}]},
        ):
            with pytest.raises(MalformedError):
                wire.answer(reply)
        strange = [["x", {"violations": [3]}], 1, [{"violations": 1, "retryDelay": 1}]]
        for reply in (None, [], {}, {"error": "busy"}, *([{"error": {"details": one}}] for one in strange)):
            assert not wire.complaint(429, reply).exhausted

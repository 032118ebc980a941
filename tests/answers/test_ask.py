"""An answer is found again by what it depends on, and by nothing else."""

import dataclasses

import pytest

from medstress.answers.ask import Answer, Failure, answer_key, status_of
from tests.answers.asks import PNG, SETTINGS, ask

KEY = answer_key("model", SETTINGS, ask())


@pytest.mark.parametrize(
    "other",
    [
        answer_key("model 2", SETTINGS, ask()),
        answer_key("model", dataclasses.replace(SETTINGS, temperature=None), ask()),
        answer_key("model", dataclasses.replace(SETTINGS, max_output_tokens=17), ask()),
        answer_key("model", dataclasses.replace(SETTINGS, system="You are a radiologist."), ask()),
        answer_key("model", SETTINGS, ask("Is there no mass?")),
        answer_key("model", SETTINGS, ask(image=PNG + b"!")),
        answer_key("model", SETTINGS, ask(image=None)),
        answer_key("model", SETTINGS, ask(image=b"")),
    ],
)
def test_what_decides_an_answer_changes_its_key(other):
    assert len(other) == len(KEY) == 16
    assert other != KEY


def test_where_an_ask_comes_from_does_not_change_its_key():
    assert answer_key("model", SETTINGS, ask(sample_id="t", perturbation="jpeg", level=3, task="captioning")) == KEY


def test_an_answer_has_a_status_before_it_is_read():
    assert status_of(Answer("yes", 1, 1, "stop")) == "ok"
    assert status_of(Answer("yes and", 1, 1, "length")) == "ok"
    assert status_of(Answer(" \n", 1, 1, "stop")) == "empty"
    assert status_of(Answer("I cannot help with that.", 1, 1, "refused")) == "refused"
    assert status_of(Answer("", None, None, "blocked")) == "refused"
    assert status_of(Failure("the server answers 500")) == "error"


def test_the_picture_is_not_printed():
    assert "PNG" not in repr(ask())

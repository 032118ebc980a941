"""Replies of judges: what is a score, and which published readings are corrected."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medstress.answers.judgement import Judgement, parse_judgement

UNPARSABLE = Judgement("unparsable")


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        # Published and kept.
        ("{ score: 5}", 5),
        ('{"score": 4}', 4),
        # Published as dropped.
        ('{"score": "4"}', 4),
        ("{'score': 3}", 3),
        # Not in the published list.
        ('{"Score": 2}', 2),
        (' {"score": 1}\n', 1),
        ('```json\n{"score": 3}\n```', 3),
        ('{"score": 3.0}', 3),
        ("{'score': '3'}", 3),
        ('{score: "3"}', 3),
        ('{"score": 4, "reason": "minor deviation"}', 4),
    ],
)
def test_scores(reply: str, score: int) -> None:
    assert parse_judgement(reply, "open") == Judgement("ok", score)


@pytest.mark.parametrize(
    "reply",
    [
        # Published as 3, 4, 7 and 5.
        "score: 3",
        "{ score: 4/5 }",
        "{ score: 7}",
        "5",
        # Published as dropped: so they stay, but counted.
        "Score: 3",
        "{ score: -1}",
        'The answer "Liver" deserves { score: 1}',
        # Not in the published list.
        'Here is my rating: {"score": 4}',
        '{"score": 4} I hope this helps!',
        '{"score": 4}\n{"score": 5}',
        '{"score": 4, "score": 5}',
        '{"rating": 4}',
        '{"result": {"score": 4}}',
        '[{"score": 4}]',
        '{"score": 4.5}',
        '{"score": true}',
        '{"score": null}',
        '{"score": NaN}',
        '{"score": "good"}',
        '{"score": 0}',
        '{"score": ' + "4" * 5000 + "}",
        "[" * 100_000,
        "The answer is mostly right, four stars.",
    ],
)
def test_prose_and_scores_off_the_scale(reply: str) -> None:
    assert parse_judgement(reply, "open") == UNPARSABLE


def test_closed_answers_have_two_scores() -> None:
    replies = ['{"score": 0}', '{"score": 1}', '{"score": 0.5}', '{"score": 2}']
    assert [parse_judgement(reply, "closed").score for reply in replies] == [0, 1, None, None]


def test_two_things_that_may_both_be_true_have_half_scores() -> None:
    replies = [
        '{"score": 0.5}',
        '{"score": "0.50"}',
        "{score: 1.0}",
        '{"score": 0.25}',
        '{"score": 5}',
        '{"score": .5}',
    ]
    assert [parse_judgement(reply, "two_options").score for reply in replies] == [0.5, 0.5, 1, None, None, None]


def test_no_reply() -> None:
    assert parse_judgement(" \n", "open") == Judgement("empty")


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=40))
def test_any_reply_has_an_outcome(reply: str) -> None:
    found = parse_judgement(reply, "closed")
    assert (found.score in {0, 1}) == (found.status == "ok")

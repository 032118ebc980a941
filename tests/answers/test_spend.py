"""The bill, and a limit that holds before it is passed."""

import pytest
from pydantic import ValidationError

from medstress.answers.api import identity_of, settings_of
from medstress.answers.ask import Answer, Failure
from medstress.answers.journal import Journal
from medstress.answers.run import answer_all
from medstress.answers.spend import Prices, Spend
from medstress.errors import MedstressError
from tests.answers.asks import ask, client_of, openai_card
from tests.answers.server import STALL, told

PRICED = {"price_in": 1000.0, "price_out": 4000.0, "image_tokens": 100, "max_output_tokens": 50}
ONE = 10 * 0.001 + 5 * 0.004  # what the server charges for an answer


def spent(server) -> float:
    return server.answered.total() * ONE


def asks(count):
    return [ask(f"{index:04d}") for index in range(count)]


def test_the_bill_counts_tokens_and_cost(server):
    client = client_of(openai_card(server, **PRICED))
    list(client.answer(asks(7)))
    bill = client.spend.bill()
    assert (bill.answers, bill.tokens_in, bill.tokens_out, bill.uncertain) == (7, 70, 35, 0)
    assert bill.cost == pytest.approx(spent(server))


@pytest.mark.parametrize("concurrency", [1, 8])
def test_the_limit_is_not_passed(server, concurrency):
    server.latency = 0.002
    client = client_of(openai_card(server, **PRICED, spending_limit=2.0, concurrency=concurrency))
    with pytest.raises(MedstressError, match="spending limit of 2 would be passed"):
        list(client.answer(asks(500)))
    assert 2.0 - client.spend.worst(asks(1)[0]) < spent(server) <= 2.0  # few in flight near the end, but all is used
    assert client.spend.bill().cost == pytest.approx(spent(server))


def test_requests_without_an_answer_count_at_their_worst(server):
    server.fault = lambda request, before: STALL
    client = client_of(openai_card(server, **PRICED, spending_limit=1.0, timeout=0.3, concurrency=1))
    worst = client.spend.worst(asks(1)[0])
    with pytest.raises(MedstressError, match="may have been charged"):
        list(client.answer(asks(5)))
    assert client.spend.bill().uncertain == pytest.approx(int(1.0 / worst) * worst)
    assert server.came.total() == int(1.0 / worst)


def test_errors_of_the_server_cost_nothing(server):
    server.fault = lambda request, before: None if before else told(500, {})
    client = client_of(openai_card(server, **PRICED, spending_limit=1.0))
    assert len(list(client.answer(asks(10)))) == 10
    assert client.spend.bill().uncertain == 0


def test_the_limit_is_one_of_the_run_and_not_of_the_process(server, tmp_path):
    card = openai_card(server, **PRICED, spending_limit=1.0, concurrency=4)
    for turn in range(3):
        with Journal(tmp_path) as journal:
            client = client_of(card)
            with pytest.raises(MedstressError, match=r"\d+ answers are kept; the next run asks the rest"):
                answer_all(client, asks(100), journal, identity_of(card), settings_of(card))
            kept = len(journal)
        assert spent(server) <= 1.0
        assert client.spend.bill().cost == pytest.approx(spent(server))
        if turn == 1:
            server.answered.clear()
            server.answered["earlier"] = kept
    with Journal(tmp_path) as journal:
        more = card.model_copy(update={"spending_limit": 50.0})
        done = answer_all(client_of(more), asks(100), journal, identity_of(more), settings_of(more))
    assert (done.asked, done.reused, done.failed) == (100 - kept, kept, 0)


def test_tokens_that_are_not_told_count_at_their_most(server):
    server.tokens = None
    client = client_of(openai_card(server, **PRICED))
    list(client.answer([ask("abc")]))
    bill = client.spend.bill()
    assert (bill.answers, bill.tokens_in) == (1, 0)
    assert bill.cost == pytest.approx(client.spend.worst(ask("abc")))


def test_a_card_that_puts_images_too_low_is_found_out():
    spend = Spend(Prices(1e6, 0, image_tokens=10), "", 1, None)
    before = spend.worst(ask("q"))
    spend.reserve(before)
    spend.settle(before, ask("q"), Answer("yes", 5000, 1, "stop"))
    assert spend.worst(ask("q")) == 5000


def test_a_server_that_answers_at_more_length_than_it_may_is_found_out():
    spend = Spend(Prices(0, 1e6), "", 10, None)
    spend.book(ask("q"), Answer("yes", 1, 40, "stop"))  # by an earlier process
    assert spend.worst(ask("q")) == 40


@pytest.mark.parametrize("tokens", [(0, 0), (-5, -5)])
def test_a_gateway_that_does_not_count_does_not_make_answers_free(server, tokens):
    server.tokens = tokens
    client = client_of(openai_card(server, **PRICED))
    list(client.answer([ask("abc")]))
    most = client.spend.worst(ask("abc"))
    assert client.spend.bill().cost == pytest.approx(most if tokens[1] else most - 50 * 0.004)


@pytest.mark.parametrize("status", [408, 502, 504, 524])
def test_what_a_proxy_gave_up_may_have_been_paid(server, tmp_path, status):
    server.fault = lambda request, before: None if before else told(status, {})
    card = openai_card(server, **PRICED)
    client = client_of(card)
    with Journal(tmp_path) as journal:
        done = answer_all(client, [ask("q")], journal, identity_of(card), settings_of(card))
    assert client.spend.bill().uncertain == pytest.approx(client.spend.worst(ask("q")))
    assert done.repeated == 1


def test_what_a_filter_takes_is_counted_at_its_most(server):
    server.fault = lambda request, before: told(400, {"code": "content_filter", "message": "no"})
    client = client_of(openai_card(server, **PRICED))
    list(client.answer([ask("q")]))
    assert client.spend.bill().cost == pytest.approx(client.spend.worst(ask("q")))


def test_a_limit_needs_prices(server):
    with pytest.raises(ValidationError, match="spending_limit needs price_out, image_tokens"):
        openai_card(server, price_in=1.0, spending_limit=5.0)


def test_what_does_not_decide_an_answer_is_not_in_its_key(server):
    one = openai_card(server)
    same = openai_card(
        server, title="Other", concurrency=3, price_in=1.0, timeout=3, key_variable="K", third_party=False
    )
    assert identity_of(one) == identity_of(same)
    assert identity_of(openai_card(server, base_url=f"{one.base_url}/")) == identity_of(one)
    assert settings_of(one) == settings_of(same)
    for changed in ({"model": "it-2"}, {"detail": "low"}, {"base_url": "https://x.y/v1"}):
        assert identity_of(openai_card(server, **changed)) != identity_of(one)


def test_a_failure_is_in_no_journal(server, tmp_path):
    card = openai_card(server)
    server.fault = lambda request, before: told(400, {"message": "no"}) if request.prompt == "bad" else None
    three = [ask("bad"), ask("good"), ask("good", sample_id="t")]
    with Journal(tmp_path) as journal:
        done = answer_all(client_of(card), three, journal, identity_of(card), settings_of(card))
    assert done.answers[0] == Failure("the server answers 400 (no)")
    assert done.answers[1] == done.answers[2]
    assert (done.asked, done.reused, done.failed, done.repeated) == (2, 1, 1, 0)
    server.fault = lambda request, before: None
    with Journal(tmp_path) as journal:
        done = answer_all(client_of(card), [*three, ask("new")], journal, identity_of(card), settings_of(card))
    assert (done.asked, done.reused, done.failed, done.repeated) == (2, 2, 0, 0)
    assert server.answered == {"bad": 1, "good": 1, "new": 1}
    assert "no)" not in "".join(path.read_text(errors="replace") for path in tmp_path.iterdir())


def test_a_generator_on_this_machine_needs_no_client(tmp_path, server):
    class Backwards:
        def answer(self, asks):
            for index in reversed(range(len(asks))):
                yield index, Answer(asks[index].prompt[::-1], None, None, "stop")

    card = openai_card(server)
    for turn in range(2):
        with Journal(tmp_path) as journal:
            done = answer_all(Backwards(), asks(5), journal, "weights", settings_of(card))
        assert [answer.text for answer in done.answers] == ["0000", "1000", "2000", "3000", "4000"]
        assert (done.asked, done.reused) == ((5, 0), (0, 5))[turn]

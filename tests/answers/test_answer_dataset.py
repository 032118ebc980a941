"""Every question in every cell: who is asked what, in which order, and what is written."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from medstress.answers import dataset
from medstress.answers.ask import Answer, Ask, Failure
from medstress.answers.dataset import Tally, answer_dataset
from medstress.answers.identity import identity_of, settings_of
from medstress.answers.journal import Journal
from medstress.answers.questions import Records
from medstress.cards.generation import BoxNumbers, Shift
from medstress.cards.local_vlm import LocalVlm
from medstress.errors import MedstressError
from medstress.records import PredictionRow
from tests.answers.asks import client_of, gemini_card, openai_card
from tests.answers.server import Server, openai_reply, told
from tests.answers.small_set import OBJECT, asked, image, rows_of, small_set, spec_of, write_set

CELLS = [("clean", 0), ("brightness", 1), ("brightness", 2)]


@dataclass
class Echo:
    """A model that says what it was shown, last question first; `until` answers and it is gone."""

    until: int | None = None
    says: Any = None
    heard: list[Ask] = field(default_factory=list)

    def answer(self, asks: Sequence[Ask]) -> Iterator[tuple[int, Answer | Failure]]:
        for number in reversed(range(len(asks))):
            if self.until is not None and len(self.heard) >= self.until:
                raise KeyboardInterrupt
            self.heard.append(asks[number])
            said = self.says(asks[number]) if self.says else _echo(asks[number])
            yield number, said if isinstance(said, Failure) else Answer(said, 1, 1, "stop")


def _echo(ask: Ask) -> str:
    seen = "-" if ask.image is None else hashlib.sha256(ask.image).hexdigest()[:6]
    return f"{ask.prompt} {seen}"


def card(**facts: Any) -> LocalVlm:
    return LocalVlm(**{"name": "it", "title": "It", "adapter": "local_vlm", "weights": "nowhere"} | facts)


def answer(folder: Path, client: Any, spec: Any, records: Records, name: str = "answers") -> Tally:
    with Journal(folder / "journal") as journal:
        return answer_dataset(client, spec, records, folder / f"{name}.parquet", journal=journal, model="it")


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return small_set(tmp_path)


def test_clean_comes_first_and_every_question_is_asked_in_every_cell(tmp_path: Path, records: Records) -> None:
    echo = Echo()
    tally = answer(tmp_path, echo, spec_of(card()), records)
    rows = rows_of(tmp_path / "answers.parquet")
    clean = [("a1", "clean", 0), ("a2", "clean", 0), ("b1", "clean", 0)]
    perturbed = [(name, "brightness", level) for image in (("a1", "a2"), ("b1",)) for level in (1, 2) for name in image]
    assert [(row.sample_id, row.perturbation, row.level) for row in rows] == clean + perturbed
    assert {(row.status, row.object_id, row.box, row.error) for row in rows} == {("ok", "", None, None)}
    assert tally.statuses == {"ok": 9}
    assert (tally.asked, tally.reused, tally.failed) == (9, 0, 0)
    by_cell = {(ask.sample_id, ask.perturbation, ask.level): ask for ask in echo.heard}
    assert {row.text for row in rows} == {_echo(ask) for ask in by_cell.values()}
    assert len({row.text for row in rows if row.sample_id == "a1"}) == len(CELLS)
    assert by_cell["a2", "clean", 0].prompt == "Is there a mass?\nAnswer with yes or no."


@pytest.mark.parametrize("until", [0, 1, 4, 8])
def test_the_same_bytes_after_a_kill_and_nothing_asked_twice(tmp_path: Path, records: Records, until: int) -> None:
    spec = spec_of(card())
    (tmp_path / "whole").mkdir()
    answer(tmp_path / "whole", Echo(), spec, records)
    with pytest.raises(KeyboardInterrupt):
        answer(tmp_path, Echo(until), spec, records)
    assert not (tmp_path / "answers.parquet").exists()
    rest = Echo()
    tally = answer(tmp_path, rest, spec, records)
    assert (tally.asked, tally.reused) == (9 - until, until) == (len(rest.heard), until)
    assert (tmp_path / "answers.parquet").read_bytes() == (tmp_path / "whole/answers.parquet").read_bytes()


def test_chunks_change_nothing(tmp_path: Path, records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of(card())
    (tmp_path / "whole").mkdir()
    answer(tmp_path / "whole", Echo(), spec, records)
    monkeypatch.setattr(dataset, "CHUNK_BYTES", 1)
    answer(tmp_path, Echo(), spec, records)
    assert (tmp_path / "answers.parquet").read_bytes() == (tmp_path / "whole/answers.parquet").read_bytes()


@pytest.mark.parametrize("blind", [{"image": False}, {"model": card(image=False)}])
def test_without_the_image_a_question_is_asked_once(tmp_path: Path, records: Records, blind: dict[str, Any]) -> None:
    echo = Echo()
    answer(tmp_path, echo, spec_of(**{"model": card()} | blind), records)
    assert [ask.image for ask in echo.heard] == [None, None]  # two texts, whatever the cell
    rows = rows_of(tmp_path / "answers.parquet")
    assert len(rows) == 9
    assert {row.text for row in rows if row.sample_id in ("a1", "b1")} == {"Which organ? -"}


def test_what_fails_is_no_answer_and_is_asked_again(tmp_path: Path, records: Records) -> None:
    broken = Echo(says=lambda ask: Failure("no reply") if ask.sample_id == "b1" else "")
    tally = answer(tmp_path, broken, spec_of(card()), records)
    rows = rows_of(tmp_path / "answers.parquet")
    assert {(row.status, row.text, row.error) for row in rows if row.sample_id == "b1"} == {("error", None, "no reply")}
    assert {(row.status, row.text) for row in rows if row.sample_id != "b1"} == {("empty", "")}
    assert tally.failed == 3
    assert any("no reply" in line for line in tally.lines())
    again = Echo()
    answer(tmp_path, again, spec_of(card()), records)
    assert {ask.sample_id for ask in again.heard} == {"b1"}


def test_boxes_are_read_in_the_numbers_of_the_card(tmp_path: Path) -> None:
    ask = asked("a1", "a", "Where is the tumour?", "", task="grounding", objects=(OBJECT,), answer_type="")
    records = write_set(tmp_path, [image("a", "test")], [ask])
    texts = {0: "[25, 25, 50, 50]", 1: "I cannot provide a diagnosis.", 2: "left"}
    echo = Echo(says=lambda ask: texts[ask.level])
    answer(tmp_path, echo, spec_of(card(boxes=BoxNumbers(scale="0-100"))), records)
    assert "in percent of the width and the height" in echo.heard[0].prompt
    rows = rows_of(tmp_path / "answers.parquet")
    assert [(row.status, row.box) for row in rows] == [
        ("ok", (10.0, 5.0, 20.0, 10.0)),
        ("refused", None),
        ("unparsable", None),
    ]
    assert [row.text for row in rows] == list(texts.values())


def test_boxes_in_other_numbers_than_the_card_says_are_an_error(tmp_path: Path) -> None:
    samples = [
        asked(f"a{number}", "a", f"Where is {number}?", "", task="grounding", objects=(OBJECT,)) for number in range(5)
    ]
    records = write_set(tmp_path, [image("a", "test")], samples)
    thousandths = Echo(says=lambda ask: "[250, 250, 500, 500]")
    with pytest.raises(MedstressError, match=r"5 of 5 boxes are not in the numbers .*scale: pixel.*Correct `boxes`"):
        answer(tmp_path, thousandths, spec_of(card()), records)
    assert {ask.level for ask in thousandths.heard} == {0}
    assert not (tmp_path / "answers.parquet").exists()


def test_questions_that_train_lends_are_asked_about_the_clean_image(tmp_path: Path) -> None:
    images = [image("a", "test", 1), image("b", "train", 2), image("c", "train", 3)]
    samples = [
        asked(f"{name}1", name, "Which organ?", attributes={"organ": organ})
        for name, organ in (("a", "lung"), ("b", "heart"), ("c", "lung"))
    ]
    records = write_set(tmp_path, images, samples)
    shift = Shift(name="hearts", field="organ", ood=["heart"], constant_in="image", lend_from=["train"])
    answer(tmp_path, Echo(), spec_of(card(), shifts=[shift]), records)
    cells = [(row.sample_id, row.level) for row in rows_of(tmp_path / "answers.parquet")]
    assert cells == [("a1", 0), ("b1", 0), ("a1", 1), ("a1", 2)]


def test_a_split_without_questions_is_said(tmp_path: Path, records: Records) -> None:
    with pytest.raises(MedstressError, match="the val split of mine has no question"):
        answer(tmp_path, Echo(), spec_of(card(), split="val"), records)


def test_forbidden_data_are_sent_to_nobody(tmp_path: Path, records: Records, server: Server) -> None:
    for make in (openai_card, gemini_card):
        theirs = make(server)
        with pytest.raises(MedstressError, match="mine may not be sent to it, which somebody else runs"):
            answer(tmp_path, client_of(theirs), spec_of(theirs), records)
        assert server.requests == []
        own = make(server, third_party=False)
        answer(tmp_path, client_of(own), spec_of(own), records, "own")
        allowed = make(server)
        answer(tmp_path, client_of(allowed), spec_of(allowed, third_party_api="allowed"), records, "allowed")
        assert (tmp_path / "own.parquet").read_bytes() == (tmp_path / "allowed.parquet").read_bytes()
        server.requests.clear()
        (tmp_path / "journal").rename(tmp_path / f"journal of {make.__name__}")


def test_a_server_sees_the_bytes_that_are_stored(tmp_path: Path, records: Records, server: Server) -> None:
    own = openai_card(server, third_party=False, price_in=1, price_out=2)
    tally = answer(tmp_path, client_of(own), spec_of(own), records)
    stored = {group.png for group in _views(records)}
    assert {request.image for request in server.requests} == stored
    assert tally.bill is not None
    assert (tally.bill.answers, tally.bill.tokens_in, tally.bill.tokens_out) == (9, 90, 45)
    assert tally.facts()["bill"] == vars(tally.bill)


def _views(records: Records) -> list[Any]:
    from medstress.views import read_views

    return [view for group in read_views(records.images, records.perturbed, "test") for view in group]


def test_a_spending_limit_counts_earlier_answers_of_all_chunks(
    tmp_path: Path, records: Records, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "CHUNK_BYTES", 1)
    facts = {"third_party": False, "price_in": 1e5, "price_out": 1e5, "image_tokens": 0, "max_output_tokens": 5}
    free = openai_card(server, **facts)
    spent = answer(tmp_path, client_of(free), spec_of(free), records).bill
    assert spent is not None
    # The clean answers are lost, the later ones are kept: what they cost is on the bill before the first request.
    for path in (tmp_path / "journal").glob("*.index"):
        path.unlink()
    for path in (tmp_path / "journal").glob("*.jsonl"):
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[6:]))
    asked_before = len(server.requests)
    limited = openai_card(server, **facts, spending_limit=spent.cost)
    with pytest.raises(MedstressError, match="the spending limit of"):
        answer(tmp_path, client_of(limited), spec_of(limited), records)
    assert len(server.requests) == asked_before


def test_a_broken_server_fails_the_questions_and_not_the_run(tmp_path: Path, records: Records, server: Server) -> None:
    server.fault = lambda request, before: told(400, {"message": "too big"}) if "organ" in request.prompt else None
    own = openai_card(server, third_party=False)
    tally = answer(tmp_path, client_of(own), spec_of(own), records)
    assert tally.statuses == {"ok": 3, "error": 6}
    server.fault = lambda request, before: (200, {}, openai_reply("lung"))
    tally = answer(tmp_path, client_of(own), spec_of(own), records)
    assert (tally.asked, tally.statuses) == (6, {"ok": 9})


def test_what_other_versions_answered_is_not_reused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    base, served = identity_of(card(), "weights", "code"), openai_card(server)
    paid = identity_of(served, "", "")
    monkeypatch.setattr("medstress.answers.identity.version", lambda name: "0.0")
    assert identity_of(card(), "weights", "code") != base
    assert identity_of(served, "", "") == paid


def test_only_what_decides_the_answers_is_part_of_the_key() -> None:
    base = identity_of(card(), "weights", "code")
    same = [{"title": "Other", "batch": 1, "gpu": 2, "weights": "moved", "image": False, "boxes": {"scale": "0-1"}}]
    same += [{"system": "x"}, {"max_new_tokens": 3}]  # these are in the settings
    assert {identity_of(card(**facts), "weights", "code") for facts in same} == {base}
    other = [{"pad_square": True}, {"precision": "fp32"}, {"strip_thinking": True}]
    assert base not in {identity_of(card(**facts), "weights", "code") for facts in other}
    assert base not in {identity_of(card(), "other", "code"), identity_of(card(), "weights", "other")}
    assert settings_of(card(system="x", max_new_tokens=3)) != settings_of(card())


def test_a_row_is_what_scores_read(tmp_path: Path, records: Records) -> None:
    answer(tmp_path, Echo(), spec_of(card()), records)
    assert all(isinstance(row, PredictionRow) and row.mask is None for row in rows_of(tmp_path / "answers.parquet"))

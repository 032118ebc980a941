"""majority_answer: learnt on train alone, from the smallest group that knows an answer."""

from pathlib import Path
from typing import Any

import pytest

from medstress.answers.majority import answer_by_majority
from medstress.answers.questions import Records
from medstress.cards.generation import Shift
from medstress.cards.generator import MajorityAnswer
from medstress.errors import MedstressError
from medstress.records import SampleRow
from tests.answers.small_set import OBJECT, asked, image, rows_of, spec_of, write_set

IMAGES = [image("t", "train"), image("v", "val"), image("a", "test")]


def card(grouping: Any = "question", tie_seed: int | None = None) -> MajorityAnswer:
    return MajorityAnswer(name="most", title="Most", adapter="majority_answer", grouping=grouping, tie_seed=tie_seed)


def answers(
    folder: Path, samples: list[SampleRow], grouping: Any = "question", tie_seed: int | None = None, **facts: Any
) -> dict[str, Any]:
    """The answer to every sample about the clean image."""
    records = write_set(folder, IMAGES, samples)
    rows = [row for row in _rows(folder, records, grouping, tie_seed, **facts) if not row.level]
    return {row.sample_id: row.text for row in rows}


def _rows(
    folder: Path, records: Records, grouping: Any = "question", tie_seed: int | None = None, **facts: Any
) -> list[Any]:
    most = card(grouping, tie_seed)
    answer_by_majority(spec_of(most, **facts), most, records, folder / "answers.parquet")
    return rows_of(folder / "answers.parquet")


def train(*said: tuple[str, str, str], **facts: Any) -> list[SampleRow]:
    return [
        asked(f"t{number}", "t", question, answer, kind=kind, **facts)
        for number, (question, answer, kind) in enumerate(said)
    ]


LEARNT = train(
    ("Which organ?", "lung", "Organ"),
    ("Which organ is this?", "heart", "Organ"),
    ("Which organ is this?", "heart", "Organ"),
    ("Which plane?", "axial", "Plane"),
    ("Which plane?", "axial", "Plane"),
    ("Which plane?", "axial", "Plane"),
)
TEST = [
    asked("same", "a", "which ORGAN", kind="Organ"),
    asked("kind", "a", "Name the organ.", kind="Organ"),
    asked("none", "a", "What colour?", kind="Colour"),
]


@pytest.mark.parametrize(
    ("grouping", "found"),
    [
        ("question", {"same": "lung", "kind": "heart", "none": "axial"}),
        ("content_type", {"same": "heart", "kind": "heart", "none": "axial"}),
        ("global", {"same": "axial", "kind": "axial", "none": "axial"}),
    ],
)
def test_the_smallest_group_that_knows_answers(tmp_path: Path, grouping: str, found: dict[str, str]) -> None:
    assert answers(tmp_path, [*LEARNT, *TEST], grouping) == found


def test_val_and_test_teach_nothing(tmp_path: Path) -> None:
    more = [asked(f"v{number}", "v", "Which organ?", "spleen") for number in range(9)]
    more += [asked(f"x{number}", "a", "Which organ?", "spleen") for number in range(9)]
    found = answers(tmp_path, [*LEARNT, *TEST, *more])
    assert set(found.values()) == {"lung", "heart", "axial"}


def test_of_options_the_commonest_is_the_answer(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"answer_type": "closed"}
    learnt = train(("Which?", "MRI", ""), ("Which?", "MRI", ""), ("Which?", "ct", ""), ("Other?", "yes", ""), **facts)
    tested = [
        asked("best", "a", "Which?", options=("CT", "MRI"), **facts),
        asked("only", "a", "Which?", options=("X-ray", "CT"), **facts),
        asked("wider", "a", "Which?", options=("no", "yes"), **facts),
        asked("unknown", "a", "Which?", options=("x", "y"), **facts),
    ]
    assert answers(tmp_path, learnt + tested) == {"best": "MRI", "only": "CT", "wider": "yes", "unknown": "x"}


def test_open_and_closed_questions_are_apart_and_ties_go_by_letters(tmp_path: Path) -> None:
    learnt = train(("Which?", "b", ""), ("Which?", "A", ""))
    learnt += [asked(f"c{number}", "t", "Which?", "yes", answer_type="closed") for number in range(3)]
    tested = [asked("open", "a", "Which?"), asked("closed", "a", "Which?", answer_type="closed")]
    assert answers(tmp_path, learnt + tested) == {"open": "A", "closed": "yes"}


def test_a_draw_breaks_ties_alike_for_all_and_never_against_the_commonest(tmp_path: Path) -> None:
    said = [("Which?", answer, "") for answer in ("a", "b", "c", "d", "e", "f")]
    tested = [asked(f"x{number}", "a", "Which?") for number in range(4)]
    learnt, most = train(*said), train(*said, ("Which?", "d", ""))
    found = set()
    for seed in range(8):
        drawn = answers(tmp_path, [*learnt, *tested], tie_seed=seed)
        assert len(set(drawn.values())) == 1
        assert answers(tmp_path, [*learnt[::-1], *tested], tie_seed=seed) == drawn
        assert set(answers(tmp_path, [*most, *tested], tie_seed=seed).values()) == {"d"}
        found |= set(drawn.values())
    assert len(found) > 2
    assert set(answers(tmp_path, [*learnt, *tested]).values()) == {"a"}


def test_captions_are_the_commonest(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"task": "captioning", "answer_type": ""}
    learnt = [asked(f"t{number}", "t", "", "", caption=text, **facts) for number, text in enumerate(("A.", "B.", "B."))]
    assert answers(tmp_path, [*learnt, asked("a1", "a", "", "", caption="C.", **facts)]) == {"a1": "B."}


def test_boxes_are_the_median_of_the_label(tmp_path: Path) -> None:
    def box(name: str, image_id: str, label: str, x0: float) -> SampleRow:
        there = type(OBJECT)("0", label, (x0, 5.0, x0 + 10, 15.0), OBJECT.mask)
        return asked(name, image_id, f"Where is the {label}?", "", task="grounding", objects=(there,), answer_type="")

    learnt = [box(f"t{number}", "t", "tumour", x0) for number, x0 in enumerate((0, 4, 20))]
    learnt.append(box("t9", "t", "lung", 30))
    records = write_set(tmp_path, IMAGES, [*learnt, box("a1", "a", "tumour", 1), box("a2", "a", "lung", 1)])
    rows = [row for row in _rows(tmp_path, records) if not row.level]
    assert [(row.box, row.text) for row in rows] == [
        ((4.0, 5.0, 14.0, 15.0), "[4.0, 5.0, 14.0, 15.0]"),
        ((30.0, 5.0, 40.0, 15.0), "[30.0, 5.0, 40.0, 15.0]"),
    ]


def test_every_cell_has_the_same_answer_in_the_order_of_the_records(tmp_path: Path) -> None:
    rows = _rows(tmp_path, write_set(tmp_path, IMAGES, [*LEARNT, *TEST]))
    assert [(row.perturbation, row.level) for row in rows[::3]] == [("clean", 0), ("brightness", 1), ("brightness", 2)]
    assert [row.text for row in rows] == ["lung", "heart", "axial"] * 3
    assert {row.status for row in rows} == {"ok"}


def test_what_a_shift_puts_out_of_distribution_is_not_learnt(tmp_path: Path) -> None:
    shift = Shift(name="organs", field="content_type", ood=["Organ"], constant_in="none")
    found = answers(tmp_path, [*LEARNT, *TEST], shifts=[shift])
    assert set(found.values()) == {"axial"}


def test_nothing_to_learn_from_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MedstressError, match="most: the train split of mine has no question, and most learns from it"):
        answers(tmp_path, TEST)

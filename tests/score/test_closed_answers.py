"""What free text means as the answer to a closed question."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medstress.score.closed_answers import YES_NO, ClosedAnswer, parse_closed

ORGANS = ("heart", "lung", "liver", "left lung")


def answered(text: str, options: tuple[str, ...] = ORGANS) -> str | int:
    found = parse_closed(text, options)
    assert (found.option is not None) == (found.status == "ok")
    return found.status if found.option is None else found.option


@pytest.mark.parametrize(
    "text",
    [
        "B", "b", "B.", "(b)", "[B]", "B)", "**B**", "B) lung", "B. lung", "b: lung", "B - lung", "(B) The lung",
        "Answer: B.", "**Answer:** B", "Answer: $B$", r"\boxed{B}", "<answer>B</answer>", "Answer:\nB",
        "The answer is (b).", "The answer is B", "the correct option is B, the lung", "I would choose B",
        "I'd go for B", "Option B corresponds to this organ",
        "lung", "The lung.", "It is a lung", "A lung is shown.", "LUNG", "I think it's the lung, since air is dark",
        "The answer to this question is the lung", "lung (B)", "B is correct",
        "The lung is the answer, the heart is small",
    ],
)  # fmt: skip
def test_one_option(text: str) -> None:
    assert answered(text) == 1


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("It is not the heart but the lung", 1),
        ("Lung, not heart", 1),
        ("lung not heart", 1),
        ("B rather than A", 1),
        ("A and C are wrong, B is right", 1),
        ("A can be excluded. B fits.\nAnswer: B", 1),
        ("The answer is not B. It is C.", 2),
        ("There is no doubt that it is B.", 1),
        ("The heart does not fit, so it is the liver", 2),
    ],
)
def test_denied_options_do_not_count(text: str, option: int) -> None:
    assert answered(text) == option


@pytest.mark.parametrize(
    "text",
    [
        "the answer is not B", "The answer is not B. lung", "The answer is not B) lung", "I don't think it is B",
        "It isn't the lung", "It isn\N{RIGHT SINGLE QUOTATION MARK}t the lung", "C. liver is wrong",
        "A, C and D are wrong", "neither A nor C",
        "not A, B, or C", "the absence of the heart",
    ],
)  # fmt: skip
def test_what_is_left_over_is_not_guessed(text: str) -> None:
    assert answered(text) == "unparsable"


@pytest.mark.parametrize(
    "text",
    [
        "lung, heart", "lung and heart", "A or B", "a or b", "A/B", "The answer is A or B", "The answer is a or b",
        "Answer: B) heart", "B. heart", "A) heart B) lung C) liver D) left lung",
        "Select the correct option: A) heart B) lung C) liver D) left lung",
    ],
)  # fmt: skip
def test_several_options_are_no_answer(text: str) -> None:
    assert answered(text) == "unparsable"


@pytest.mark.parametrize(
    "text",
    ["A lesion is shown.", "vitamin C", "a C-arm was used", "I see something", "E", "none of these", "lungs?"],
)
def test_letters_that_are_words_are_no_labels(text: str) -> None:
    assert answered(text) == "unparsable"


def test_the_plainest_mention_decides() -> None:
    assert answered("B: lung. The other options, such as heart, are wrong.") == 1
    assert answered("Lung. The heart is also visible.") == 1
    assert answered("The heart is small and the lung is dark.\n\nThe final answer is: C) Liver") == 2
    assert answered("D, because the left lung is collapsed and the heart is shifted") == 3
    assert answered("The left lung.") == 3
    assert answered("C-arm image of the lung") == 1


@pytest.mark.parametrize(
    "text",
    [
        "I cannot answer this.", "I can\N{RIGHT SINGLE QUOTATION MARK}t provide a medical diagnosis.",
        "I'm sorry, but I can't help with that.",
        "I am unable to determine which organ is shown", "It cannot be determined.", "I can't see any image.",
        "I cannot determine whether it is lung or heart.", "As an AI, I am not able to interpret medical images.",
    ],
)  # fmt: skip
def test_refusals(text: str) -> None:
    assert answered(text) == "refused"
    assert answered(text, YES_NO) == "refused"


def test_a_refusal_beside_an_answer_is_an_answer() -> None:
    assert answered("I'm sorry, but the answer is B") == 1
    assert answered("I cannot determine this with certainty, but the answer is B") == 1
    assert answered("Yes. However, I cannot provide a diagnosis; consult a doctor.", YES_NO) == 0
    assert answered("No, I cannot see any fracture.", YES_NO) == 1
    assert answered("No, I cannot help with that.", YES_NO) == "refused"
    assert answered("Cannot be determined", ("benign", "malignant", "Cannot be determined")) == 2


@pytest.mark.parametrize("text", ["", "  \n", "...", "-", "**"])
def test_empty(text: str) -> None:
    assert answered(text) == "empty"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes", 0), ("yes.", 0), ("YES, there is a fracture", 0), ("Yes, there is no fracture.", 0), ("A", 0),
        ("I would say yes.", 0), ("Yes, it is not normal", 0),
        ("No", 1), ("No, there isn't.", 1), ("No fracture is seen.", 1), ("The answer is no.", 1),
        ("I would say no", 1), ("Is there a fracture? No.", 1), ("(B)", 1),
        ("There is no fracture.", "unparsable"), ("not present", "unparsable"), ("A fracture is seen", "unparsable"),
        ("yes and no", "unparsable"), ("yes/no", "unparsable"), ("Yes or no", "unparsable"), ("maybe", "unparsable"),
        ("The answer is not yes", "unparsable"), ("It is not possible to say yes or no", "refused"),
    ],
)  # fmt: skip
def test_yes_and_no(text: str, expected: str | int) -> None:
    assert answered(text, YES_NO) == expected


def test_corrected_none_is_a_word() -> None:
    options = ("none", "0", "both")
    assert [answered(text, options) for text in ("none", "0", "zero", "Both.")] == [0, 1, 1, 2]


def test_corrected_a_letter_can_be_an_option() -> None:
    assert answered("The answer is a.", ("c", "b", "a")) == 2
    assert answered("A", ("c", "b", "a")) == 2
    assert answered("F", ("M", "F")) == 1
    assert answered("vitamin a is low", ("vitamin a", "vitamin")) == 0


def test_corrected_options_are_words_and_not_patterns() -> None:
    assert answered("T2-weighted", ("T1 weighted", "T2 weighted")) == 1
    assert answered("(+) positive", ("positive (+)", "(+) positive")) == 1
    assert answered("more than 5 mm: >5mm", ("<5 mm", ">5 mm")) == 1
    assert answered("There are three.", ("2", "3")) == 1
    assert answered("a mass in lung", ("A mass in the lung", "no mass")) == 0
    assert answered("It is hepatitis B, not hepatitis A", ("hepatitis A", "hepatitis B")) == 1


def test_options_that_are_alike_need_their_letter() -> None:
    assert answered("lung", ("Lung", "lung.")) == "unparsable"
    assert answered("A", ("Lung", "lung.")) == 0
    assert answered("B", ("", "")) == 1


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60), st.lists(st.text(max_size=12), max_size=6))
def test_any_text_has_an_outcome(text: str, options: list[str]) -> None:
    found = parse_closed(text, options)
    assert found.option is None or 0 <= found.option < len(options)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["{0}", "({0})", "{0}.", "Answer: {0}.", "{0}) {1}", "The answer is {0}, {1}.", "{1}", "The {1}."]),
    st.permutations(["heart", "left lung", "no fracture", "T2 weighted", "the spleen", "none of the above"]),
    st.integers(0, 5),
)
def test_every_option_is_found_in_every_form(form: str, options: list[str], number: int) -> None:
    text = form.format("ABCDEF"[number], options[number])
    assert parse_closed(text, options) == ClosedAnswer("ok", number)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("both edema and effusion", 3),
        ("Edema and effusion are both present.", 3),
        ("The answer is both: edema and effusion", 3),
        ("edema or effusion, or both", "unparsable"),
        ("edema, effusion, none, both", "unparsable"),
        ("none, edema, both", "unparsable"),
        ("not both edema and effusion", "unparsable"),
        ("edema and effusion", "unparsable"),
        ("edema", 0),
    ],
)
def test_both_may_name_what_it_means(text: str, expected: str | int) -> None:
    assert answered(text, ("edema", "effusion", "none", "both")) == expected


@pytest.mark.parametrize("text", ["_B_", "__B__", "_B. lung_", "Likely B", "Most likely B.", "Probably B"])
def test_emphasis_and_likelihood_around_a_letter(text: str) -> None:
    assert answered(text) == 1


def test_non_denies_the_word_behind_it_alone() -> None:
    assert answered("non-benign", ("benign", "malignant")) == "unparsable"
    assert answered("a non-contrast CT", ("CT", "MRI")) == 0


def test_a_no_behind_an_article_answers() -> None:
    assert answered("It's a no.", YES_NO) == 1
    assert answered("There is no abnormality", YES_NO) == "unparsable"


@pytest.mark.parametrize("text", ["xray", "X-ray", "Xray.", "a chest xray", "X ray"])
def test_an_xray_is_one_in_every_spelling(text: str) -> None:
    assert answered(text, ("CT", "X-Ray", "MRI")) == answered(text, ("CT", "XRay", "MRI")) == 1

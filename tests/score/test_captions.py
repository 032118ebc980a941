"""BLEU against sacrebleu; ROUGE-L and CIDEr-D against values that pycocoevalcap 1.2 gave on the same words."""

import statistics

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from medstress.score import captions as measure

TRUTHS = [
    "Axial CT of the chest shows a 5 mm nodule in the right upper lobe.",
    "MRI of the brain shows a large mass with edema.",
    "Frontal chest x-ray: left pleural effusion, no pneumothorax.",
    "Ultrasound of the liver with two cysts.",
    "Axial CT of the abdomen shows a cyst of the left kidney.",
]
CAPTIONS = [
    "CT of the chest with a nodule in the right lobe.",
    "A brain MRI shows a mass.",
    "Chest x-ray shows left effusion.",
    "Ultrasound of the liver with two cysts.",
    "The image shows the left kidney and a cyst, a cyst, a cyst.",
]
# pycocoevalcap's Cider and Rouge; it is not installed for the tests, since 100 MB of Java come with it.
CIDER = [3.4971639208160377, 1.4888375275412125, 1.78363828022475, 10.0, 1.6918489255690732]
ROUGE = [0.7484662576687117, 0.47843137254901963, 0.5907990314769976, 1.0, 0.4029062087186261]
# Three images, the first answered right.
SMALL = [
    ("chest x ray shows a left effusion", "chest x ray shows a left effusion", 10.0, 1.0),
    ("brain ct with mass", "brain mri with a mass", 1.8184357475500526, 0.6535714285714286),
    ("liver", "normal liver ct", 1.3653748850394911, 0.45864661654135336),
]


def cider(captions: list[str], truths: list[str]) -> list[float]:
    idf = measure.cider_idf(truths)
    pairs = zip(captions, truths, strict=True)
    return [measure.cider_d(measure.cider_vector(one, idf), measure.cider_vector(truth, idf)) for one, truth in pairs]


def test_cider_and_rouge_are_those_of_pycocoevalcap() -> None:
    assert cider(CAPTIONS, TRUTHS) == pytest.approx(CIDER, abs=1e-12)
    rouge = [measure.rouge_l(one, truth) for one, truth in zip(CAPTIONS, TRUTHS, strict=True)]
    assert rouge == pytest.approx(ROUGE, abs=1e-12)


def test_a_small_example_of_pycocoevalcap() -> None:
    values = cider([row[0] for row in SMALL], [row[1] for row in SMALL])
    assert values == pytest.approx([row[2] for row in SMALL], abs=1e-12)
    assert statistics.mean(values) == pytest.approx(4.395, abs=5e-4)
    assert [measure.rouge_l(*row[:2]) for row in SMALL] == pytest.approx([row[3] for row in SMALL], abs=1e-12)


def test_cider_of_few_words_or_images() -> None:
    # Known of pycocoevalcap: short captions have no long n-grams, and one image makes nothing rare.
    truths = ["left pleural effusion", "brain mass", "normal liver ct scan"]
    assert cider(truths, truths) == pytest.approx([7.5, 5.0, 10.0])
    assert cider(["brain mass"], ["brain mass"]) == [0.0]
    assert cider(["same words here now"] * 3, ["same words here now"] * 3) == [0.0] * 3
    assert cider(["", "..."], ["lung", "brain"]) == [0.0, 0.0]


def test_idf_is_frozen_and_counts_each_image_once() -> None:
    idf = measure.cider_idf(TRUTHS)
    assert idf.documents == 5
    assert idf.occurrences["a",] == 3
    assert idf.occurrences["of", "the"] == 4
    truth = measure.cider_vector(TRUTHS[0], idf)
    alone = measure.cider_d(measure.cider_vector(CAPTIONS[0], idf), truth)
    assert alone == pytest.approx(CIDER[0], abs=1e-12)


def test_repetition_is_not_rewarded() -> None:
    once = cider(["a cyst of the kidney"], [TRUTHS[4]])
    assert cider(["a cyst of the kidney " * 5], [TRUTHS[4]])[0] <= once[0]
    assert measure.rouge_l("cyst cyst cyst", "cyst") < measure.rouge_l("cyst", "cyst") == 1


@pytest.mark.parametrize("order", measure.BLEU_ORDERS)
@pytest.mark.parametrize(
    ("caption", "truth"),
    [
        *zip(CAPTIONS, TRUTHS, strict=True),
        ("lung", "lung"),
        ("Lung.", "lung"),
        ("", "lung"),
        ("mass", "no effusion seen"),
    ],
)
def test_bleu_is_that_of_sacrebleu(caption: str, truth: str, order: int) -> None:
    expected = BLEU(max_ngram_order=order, effective_order=True).sentence_score(caption, [truth]).score
    assert measure.bleu(caption, truth)[order - 1] == pytest.approx(expected / 100, abs=1e-12)


def test_corrected_a_right_word_has_bleu_1() -> None:
    # Published by SURE-VQA's evaluation: BLEU-2 of 1.5e-154, since it does not smooth.
    assert measure.bleu("lung", "lung") == pytest.approx((1, 1, 1, 1))
    assert measure.bleu("", "lung") == (0, 0, 0, 0)


def test_signature() -> None:
    assert measure.bleu_signature() == f"nrefs:1|case:mixed|eff:yes|tok:13a|smooth:exp|version:{sacrebleu.__version__}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # As Stanford's PTB tokenizer splits them, checked against the one that pycocoevalcap brings.
        ("Chest X-ray shows a left-sided effusion.", "chest x-ray shows a left-sided effusion"),
        ("MRI, T2-weighted; there's a 3.5 x 2.1 cm mass", "mri t2-weighted there 's a 3.5 x 2.1 cm mass"),
        (
            "A 45-year-old man with Crohn\N{RIGHT SINGLE QUOTATION MARK}s disease",
            "a 45-year-old man with crohn 's disease",
        ),
        ('"Ground-glass" opacities in 50% of the lung', "ground-glass opacities in 50 % of the lung"),
        ("L4/L5; 1,200 HU. It can't be seen", "l4/l5 1,200 hu it ca n't be seen"),
        # There, brackets stay as words.
        ("Axial CT (arrow)", "axial ct arrow"),
        ("...", ""),
    ],
)
def test_words(text: str, words: str) -> None:
    assert measure.words_of_caption(text) == tuple(words.split())


def longest_common_by_table(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for row, one in enumerate(first, 1):
        for column, other in enumerate(second, 1):
            diagonal = table[row - 1][column - 1] + 1
            table[row][column] = diagonal if one == other else max(table[row - 1][column], table[row][column - 1])
    return table[-1][-1]


few_words = st.lists(st.sampled_from("abcd"), max_size=15).map(tuple)


@settings(max_examples=150, deadline=None)
@given(few_words, few_words)
def test_longest_common_subsequence(first: tuple[str, ...], second: tuple[str, ...]) -> None:
    assert measure.longest_common(first, second) == longest_common_by_table(first, second)

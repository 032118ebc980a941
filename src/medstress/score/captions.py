"""Captions against a true caption: BLEU, ROUGE-L and CIDEr-D, one value an image.

BLEU is sacrebleu's own, whose signature belongs beside the numbers. ROUGE-L and CIDEr-D equal those of pycocoevalcap on
the same words. Words are made as by the Java program that pycocoevalcap runs, Stanford's PTB tokenizer: lower case,
"x-ray" and "3.5" whole, "patient's" in two, no punctuation. Brackets are punctuation here; there they count as words,
since they are looked for in capitals ("-LRB-") after the text was lowered.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from medstress.answers.words import plain_marks

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

BLEU_ORDERS = (1, 2, 3, 4)
_CIDER_ORDERS = (1, 2, 3, 4)
_CIDER_SIGMA = 6.0
_ROUGE_BETA = 1.2
_WORD = re.compile(r"[a-z]+?(?=n't\b)|n't\b|'(?:s|d|m|re|ve|ll)\b|[^\W_]+(?:[-/][^\W_]+|(?<=\d)[.,]\d+)*|%")

Ngram = tuple[str, ...]


def words_of_caption(text: str) -> tuple[str, ...]:
    """The words of a caption that ROUGE-L and CIDEr-D compare."""
    return tuple(_WORD.findall(plain_marks(text).lower()))


@cache
def _bleu() -> "BLEU":
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(effective_order=True)


def bleu(caption: str, truth: str) -> tuple[float, float, float, float]:
    """BLEU-1 to BLEU-4 of one caption, 0..1, larger is better: sacrebleu's sentence scores, 13a words, case kept.

    Orders longer than the caption are left out and missing n-grams smoothed exponentially, so a right caption of one
    word has 1 at every order. Papineni et al., "BLEU", ACL 2002; Post, "A call for clarity in reporting BLEU scores",
    WMT 2018; Chen and Cherry, "A systematic comparison of smoothing techniques", WMT 2014.
    """
    scorer = _bleu()
    whole = scorer.sentence_score(caption, [truth])
    counts = whole.counts, whole.totals, whole.sys_len, whole.ref_len
    one, two, three, four = (_bleu_of_order(*counts, order) for order in BLEU_ORDERS)
    return one, two, three, four


def _bleu_of_order(counts: list[int], totals: list[int], words: int, true_words: int, order: int) -> float:
    score = (
        _bleu()
        .compute_bleu(
            counts[:order],
            totals[:order],
            words,
            true_words,
            smooth_method="exp",
            effective_order=True,
            max_ngram_order=order,
        )
        .score
    )
    return float(score) / 100


def bleu_signature() -> str:
    """What makes BLEU comparable, as sacrebleu writes it."""
    scorer = _bleu()
    scorer.sentence_score("a", ["a"])
    return str(scorer.get_signature())


def rouge_l(caption: str, truth: str) -> float:
    """ROUGE-L of one caption, 0..1, larger is better: F of the longest common subsequence of words, beta 1.2.

    Lin, "ROUGE: a package for automatic evaluation of summaries", 2004, with the beta of pycocoevalcap. A caption
    without words has 0; there, no words count as one empty word.
    """
    given, right = words_of_caption(caption), words_of_caption(truth)
    common = longest_common(given, right)
    if not common:
        return 0.0
    precision, recall = common / len(given), common / len(right)
    return (1 + _ROUGE_BETA**2) * precision * recall / (recall + _ROUGE_BETA**2 * precision)


def longest_common(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """Length of the longest common subsequence.

    One bit a word of `second`: Hyyrö, "Bit-parallel LCS-length computation revisited", AWOCA 2004.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(second):
        places[word] = places.get(word, 0) | 1 << place
    every = (1 << len(second)) - 1
    row = every
    for word in first:
        taken = row & places.get(word, 0)
        row = ((row + taken) | (row - taken)) & every
    return len(second) - row.bit_count()


@dataclass(frozen=True)
class CiderIdf:
    """How rare n-grams are: in how many of `documents` true captions each occurs.

    CIDEr of one caption depends on the captions that it is scored with. Built once from the true captions of a split,
    this holds for clean and perturbed images alike, so that their difference is the model's.
    """

    documents: int
    occurrences: Mapping[Ngram, int]


def cider_idf(truths: Iterable[str]) -> CiderIdf:
    """From the true captions of all images that are scored, each image once."""
    occurrences: Counter[Ngram] = Counter()
    documents = 0
    for truth in truths:
        occurrences.update(set(_ngrams(words_of_caption(truth))))
        documents += 1
    return CiderIdf(documents, dict(occurrences))


def _ngrams(words: tuple[str, ...]) -> Counter[Ngram]:
    return Counter(words[start : start + order] for order in _CIDER_ORDERS for start in range(len(words) - order + 1))


@dataclass(frozen=True)
class CiderVector:
    """A caption's n-grams, weighted by count and rarity: one vector an order, with their lengths; and its bigrams."""

    weights: tuple[Mapping[Ngram, float], ...]
    lengths: tuple[float, ...]
    bigrams: int


def cider_vector(caption: str, idf: CiderIdf) -> CiderVector:
    """The vector of one caption. A true caption's serves every answer about its image."""
    total = math.log(idf.documents) if idf.documents else 0.0
    weights: tuple[dict[Ngram, float], ...] = tuple({} for _ in _CIDER_ORDERS)
    words = words_of_caption(caption)
    for ngram, count in _ngrams(words).items():
        weights[len(ngram) - 1][ngram] = count * (total - math.log(max(1, idf.occurrences.get(ngram, 0))))
    lengths = tuple(math.sqrt(sum(weight**2 for weight in one.values())) for one in weights)
    return CiderVector(weights, lengths, max(0, len(words) - 1))


def cider_d(caption: CiderVector, truth: CiderVector) -> float:
    """CIDEr-D of one caption, 0..10, larger is better.

    Vedantam et al., "CIDEr: consensus-based image description evaluation", CVPR 2015, as pycocoevalcap computes it: a
    caption of under four words has less than 10 even where it is right, and all are 0 where there is one image.
    """
    cosines = [
        _clipped_cosine(given, right, length * true_length)
        for given, right, length, true_length in zip(
            caption.weights, truth.weights, caption.lengths, truth.lengths, strict=True
        )
    ]
    difference = caption.bigrams - truth.bigrams
    return 10 * sum(cosines) / len(cosines) * math.exp(-(difference**2) / (2 * _CIDER_SIGMA**2))


def _clipped_cosine(given: Mapping[Ngram, float], right: Mapping[Ngram, float], scale: float) -> float:
    shared = sum(min(weight, right[ngram]) * right[ngram] for ngram, weight in given.items() if ngram in right)
    return shared / scale if scale else 0.0

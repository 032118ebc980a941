"""Free answers against a true answer, word by word.

Words are those of :func:`medstress.answers.words.words_of`. Precision, recall and F1 count shared words as a multiset,
as Rajpurkar et al., "SQuAD: 100,000+ questions for machine comprehension of text", EMNLP 2016, do.

The published SURE-VQA evaluation (commit 417e886) differs. Of its values for "answer | truth" hold here:

* "lung | lung": exact match 1, F1 1;
* "left lung | lung": F1 .667, precision .5;
* "left kidney, right kidney | right kidney, left kidney": F1 1;
* "There is not a nodule | There is a nodule": F1 .857. Words cannot see the negation; exact match now does;
* "a | an": 0. There, because nothing is left of either; here, because the words differ.

Corrected are:

* "left lung | lung": exact match .5 is 0. Theirs was a share of words;
* "lung lung lung | lung": F1 1 is .5. Theirs counted the repeated word each time; its exact match .333 is 0;
* "left kidney, right kidney | right kidney, left kidney": exact match .75 is 0;
* "There is not a nodule | There is a nodule": exact match .75 is 0;
* "none | 0": 1 is 0;
* "vitamin a | vitamin": exact match 1 is 0, F1 1 is .667;
* BLEU-2 of "lung | lung": 1.5e-154 is 1, see :mod:`medstress.score.captions`.
"""

from collections import Counter
from dataclasses import dataclass

from medstress.answers.words import words_of


@dataclass(frozen=True)
class Overlap:
    """What an answer shares with the truth, 0..1, larger is better; `exact` is 1 for the same words in order."""

    exact: float
    precision: float
    recall: float
    f1: float


_SAME = Overlap(1.0, 1.0, 1.0, 1.0)
_APART = Overlap(0.0, 0.0, 0.0, 0.0)


def compare_answer(answer: str, truth: str) -> Overlap:
    """The overlap of an answer with the truth. Two texts without a word are the same, as in SQuAD 2.0."""
    given, right = words_of(answer), words_of(truth)
    if given == right:
        return _SAME
    counts = Counter(right)
    shared = sum(min(count, counts[word]) for word, count in Counter(given).items())
    if not shared:
        return _APART
    precision, recall = shared / len(given), shared / len(right)
    return Overlap(0.0, precision, recall, 2 * precision * recall / (precision + recall))

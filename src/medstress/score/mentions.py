"""Where a text names options, by letter or by words, and whether it denies them.

A letter is also a word ("A lung is shown") or part of one ("vitamin C", "C-arm"), so it counts only where it stands
like a label. Denials reach from their word to the end of the clause, and back over "is": "not B", "B is wrong".
"""

import re
from collections.abc import Sequence
from enum import IntEnum
from itertools import pairwise
from typing import NamedTuple

from medstress.answers.words import Token
from medstress.score.options import Options, phrase_at


class Rank(IntEnum):
    """How plainly an option is given as the answer: "the answer is B", "B) lung", "I see a lung"."""

    STATED = 0
    LABELLED = 1
    NAMED = 2


class Mention(NamedTuple):
    """A place where options are named: words `start` to `end`; more than one option only where texts are alike."""

    numbers: frozenset[int]
    start: int
    end: int
    is_letter: bool
    rank: Rank
    denied: bool


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ANSWERS = _set("answer option choice")
_STATING = _ANSWERS | _set("chose chosen selected picked")
_VERDICTS = _ANSWERS | _set("correct")
_FILLING = _ANSWERS | _set(
    "is are was be would will should must seems to the a an it its this that these my i for of question image letter "
    "number correct right best final single most likely probably clearly definitely therefore not isnt"
)
_REACH = 8
_POINTING = _set(
    "is its be are like choose select pick chose go for with say think guess than not and or either neither nor only "
    "likely probably definitely clearly certainly"
)
_FOLLOWING = _set("is was because as since and or would seems appears looks but not are rather instead")
_JOINING = _set("and or nor both either possibly maybe")

_DENYING = _set(
    "not no never neither nor none without cannot cant isnt arent wasnt werent doesnt dont didnt couldnt "
    "wouldnt shouldnt hasnt havent wont exclude excludes excluded excluding unlikely incorrect wrong false absence "
    "except whether"
)
_DENYING_PAIRS = {"than": _set("rather other"), "of": _set("instead"), "out": _set("rule rules ruled ruling")}
_AFFIRMING_PAIRS = {"no": _set("doubt question"), "not": _set("only")}
_LINKING = _set(
    "is are was were be seems appears looks to the a can could does do clearly definitely also both all option"
)
_REJECTING = _set(
    "not isnt arent wasnt doesnt cannot cant wrong incorrect false excluded unlikely absent ruled impossible"
)

_TURNING = _set("but however so therefore thus hence although though while whereas because since")
_TURNING_UNLESS = {"instead": "of", "rather": "than"}
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_STOP = re.compile(r"[.!?\n]")
_APART = re.compile(r"[.!?;,]")
_BREAK = re.compile(r"[.;:!?\n]|\s-+\s")
_CLOSED = re.compile(r"\s*[.,;:!?)\]}/\n]|\s+-+\s")
_LABEL_END = re.compile(r"\s*[.):\]}\n]|\s*-+\s|,")


def mentions_in(tokens: Sequence[Token], options: Options) -> list[Mention]:
    """Every mention of an option in a text, in order; texts of options go before letters, longer before shorter."""
    starts = _clause_starts(tokens)
    found: list[Mention] = []
    denying = False
    place = 0
    while place < len(tokens):
        if starts[place]:
            denying = False
        word = tokens[place].word
        may_name = word in options.phrases or word in options.letters
        mention = _mention_at(tokens, place, options, starts, found) if may_name else None
        if mention is None:
            denying = denying or _denies(tokens, place)
            place += 1
            continue
        found.append(mention._replace(denied=denying or (place > 0 and tokens[place - 1].word == "non")))
        denying = denying and not any(starts[place + 1 : mention.end])
        place = mention.end
    return _with_denials_behind(tokens, starts, _joined(tokens, found))


def _clause_starts(tokens: Sequence[Token]) -> list[bool]:
    return [True, *(_turns(before, after) for before, after in pairwise(tokens))]


def _turns(before: Token, after: Token) -> bool:
    if before.word in _TURNING or _TURNING_UNLESS.get(before.word, after.word) != after.word:
        return True
    if before.gap == " ":
        return False
    return _BREAK.search(before.gap) is not None or ("," in before.gap and after.word not in {"or", "nor"})


def _denies(tokens: Sequence[Token], place: int) -> bool:
    word = tokens[place].word
    if word in _DENYING_PAIRS:
        return place > 0 and tokens[place - 1].word in _DENYING_PAIRS[word]
    if word not in _DENYING:
        return False
    return place + 1 == len(tokens) or tokens[place + 1].word not in _AFFIRMING_PAIRS.get(word, ())


def _mention_at(
    tokens: Sequence[Token], place: int, options: Options, starts: Sequence[bool], found: Sequence[Mention]
) -> Mention | None:
    if (named := phrase_at(tokens, place, options)) is not None:
        phrase, end = named
        if phrase.words == ("no",) and not _is_answer(tokens, place, starts, found):
            return None
        rank = _rank_of_phrase(tokens, place, end, phrase.words)
        return Mention(phrase.numbers, place, end, False, rank, False)
    number = options.letters.get(tokens[place].word)
    if number is None:
        return None
    letter = _rank_of_letter(tokens, place, options, starts, found)
    return None if letter is None else Mention(frozenset({number}), place, place + 1, True, letter, False)


def _is_answer(tokens: Sequence[Token], place: int, starts: Sequence[bool], found: Sequence[Mention]) -> bool:
    """Whether "no" answers. Before a noun it is part of a finding, and what that means depends on the question."""
    if place == 0 or _is_stated(tokens, place, place + 1):
        return True
    closed = place + 1 == len(tokens) or _CLOSED.match(tokens[place].gap) is not None
    listed = bool(found) and _join(tokens, found[-1].end, place)
    before = place - 2 if tokens[place - 1].is_article and place > 1 else place - 1
    return closed and (starts[place] or listed or tokens[before].word in _POINTING)


def _rank_of_phrase(tokens: Sequence[Token], start: int, end: int, words: tuple[str, ...]) -> Rank:
    if _is_stated(tokens, start, end):
        return Rank.STATED
    # "Lung. The heart is seen, too." answers first and then explains; so does "Yes, ...".
    leads = start == 0 and (words in {("yes",), ("no",)} or _STOP.search(tokens[end - 1].gap) is not None)
    return Rank.LABELLED if leads else Rank.NAMED


def _rank_of_letter(
    tokens: Sequence[Token], place: int, options: Options, starts: Sequence[bool], found: Sequence[Mention]
) -> Rank | None:
    token = tokens[place]
    before = tokens[place - 1].gap if place else ""
    last = place + 1 == len(tokens)
    if "-" in {token.gap, before} or "_" in {token.gap, before}:
        return None
    label = last or _CLOSED.match(token.gap) is not None or tokens[place + 1].word in _FOLLOWING
    is_word = token.word in {"a", "i"}
    directly = place > 0 and before == " " and tokens[place - 1].word in _ANSWERS and token.written.isupper()
    if (label or directly or not is_word) and _is_stated(tokens, place, place + 1):
        return Rank.STATED
    leads = (place == 0 or "\n" in before) and (last or _LABEL_END.match(token.gap) is not None)
    if leads or (token.gap[:1] in _CLOSING and _is_bracketed(tokens, place)):
        return Rank.LABELLED
    beside_text = not is_word and not last and phrase_at(tokens, place + 1, options) is not None
    if not (label or beside_text):
        return None
    listed = bool(found) and found[-1].is_letter and _join(tokens, found[-1].end, place)
    pointed = token.written.isupper() and (starts[place] or tokens[place - 1].word in _POINTING)
    return Rank.NAMED if listed or pointed else None


def _is_bracketed(tokens: Sequence[Token], place: int) -> bool:
    """Whether the bracket behind a letter is its own, as in "(b)" and "b)" but not in "(panel b)"."""
    for distance, token in enumerate(reversed(tokens[:place])):
        for mark in reversed(token.gap):
            if mark in _OPENING:
                return distance == 0
            if mark in _CLOSING:
                return True
    return True


def _is_stated(tokens: Sequence[Token], start: int, end: int) -> bool:
    """Whether "the answer is" leads to words `start` to `end`, or "is the answer" away from them."""
    for place in range(start - 1, max(start - _REACH, 0) - 1, -1):
        word = tokens[place].word
        if _APART.search(tokens[place].gap):
            break
        if word in _STATING:
            return True
        if word not in _FILLING:
            break
    for place in range(end, min(end + _REACH, len(tokens))):
        word = tokens[place].word
        if _BREAK.search(tokens[place - 1].gap):
            return False
        if word in _VERDICTS and place > end:
            return True
        if word not in _FILLING:
            return False
    return False


def _join(tokens: Sequence[Token], end: int, start: int) -> bool:
    """Whether nothing but "and" or "or" stands between two mentions."""
    between = tokens[end:start]
    return all(token.word in _JOINING for token in between) and not any(
        _STOP.search(token.gap) for token in tokens[end - 1 : start]
    )


def _joined(tokens: Sequence[Token], found: Sequence[Mention]) -> list[Mention]:
    """Mentions in a row are as plain as the first; the text right behind a letter explains it and shares its denial."""
    result: list[Mention] = []
    for mention in found:
        changed = mention
        if result:
            before = result[-1]
            explains = before.is_letter and not mention.is_letter and before.end == mention.start
            if explains or _join(tokens, before.end, mention.start):
                changed = changed._replace(rank=min(before.rank, mention.rank))
            if explains:
                changed = changed._replace(denied=before.denied or mention.denied)
        result.append(changed)
    return result


def _with_denials_behind(tokens: Sequence[Token], starts: Sequence[bool], found: Sequence[Mention]) -> list[Mention]:
    """Mentions with the denials that follow them; "A and B are wrong" denies both."""
    result: list[Mention] = []
    stop, rejected = len(tokens), False
    for mention in reversed(found):
        explained = mention.is_letter and mention.end == stop
        listed = rejected and (explained or _join(tokens, mention.end, stop))
        rejected = listed or _is_rejected(tokens, starts, mention.end, stop)
        result.append(mention._replace(denied=mention.denied or rejected))
        stop = mention.start
    return result[::-1]


def _is_rejected(tokens: Sequence[Token], starts: Sequence[bool], end: int, stop: int) -> bool:
    linked = False
    for place in range(end, stop):
        word = tokens[place].word
        if starts[place]:
            return False
        if word in _LINKING:
            linked = True
            continue
        # In "lung not heart" the denial is of what follows.
        return word in _REJECTING and (linked or word != "not")
    return False

"""Whether a study has what its judges and ratings need."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from medstress.cards.dataset import DatasetCard
from medstress.cards.generation import GenerationCard
from medstress.cards.generator import GeminiApi, OpenAiApi
from medstress.cards.local_vlm import LocalVlm
from medstress.cards.model import ModelCard
from medstress.config import Study
from medstress.problems import Key, Problem, line_of

_TABLE = "judge_agreement"


def judge_problems(
    source: Path, study: Study, datasets: Mapping[str, DatasetCard], models: Mapping[str, ModelCard]
) -> Iterator[Problem]:
    """Judges that cannot judge, ratings that are not there, and their table without either.

    Cards that could not be read are left out.
    """

    def problem(key: Key, found: object, expected: str) -> Problem:
        return Problem(str(source), ".".join(map(str, key)), str(found), expected, line=line_of(source, key))

    asked = [card for card in datasets.values() if isinstance(card, GenerationCard) and card.task == "vqa"]
    whole = set(datasets) == set(study.datasets)
    for index, judge in enumerate(study.judges):
        place: Key = ("judges", index, "model")
        model = models.get(judge.model)
        if model is None:
            continue
        if not isinstance(model, LocalVlm | OpenAiApi | GeminiApi):
            expected = f"a model that writes: adapter local_vlm, openai_api or gemini_api, not {model.adapter}"
            yield problem(place, repr(judge.model), expected)
            continue
        closed = [card.name for card in asked if card.third_party_api == "forbidden"]
        if not isinstance(model, LocalVlm) and model.third_party and closed:
            expected = (
                f"a judge of your own: third_party_api is forbidden in {', '.join(closed)}, and somebody else runs "
                f"{judge.model}"
            )
            yield problem(place, repr(judge.model), expected)
    if study.judges and whole and not asked:
        yield problem(("judges",), "judges", "a study with a data set for vqa, whose answers they grade")
    for index, path in enumerate(study.ratings):
        if not Path(path).is_file():
            yield problem(
                ("ratings", index), repr(path), "a CSV file that is there; `medstress rating-sheet` makes one"
            )
    if _TABLE in study.tables:
        place = ("tables", study.tables.index(_TABLE))
        if not study.judges and not study.ratings:
            yield problem(place, repr(_TABLE), "a study with `judges` or `ratings`, which it compares")
        if whole and not asked:
            yield problem(place, repr(_TABLE), "a study with a data set for vqa")

"""What another training would have come to, in the resamples of a claim.

Resamples of groups say how the numbers would vary with other images, not with another training of a strategy. A mean
over S seeds varies by sd / sqrt(S) besides, see :mod:`medstress.score.statistics.components`. Few seeds give a poor sd,
so it is pooled over the strategies, models, data sets and cells of a claim, as if all varied alike, and the normal
draws that are added to the resamples are lengthened by the ratio of Student to normal quantiles for its degrees of
freedom.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from medstress.runs import named_parts
from medstress.score.claim_cells import Sides
from medstress.seeds import generator, seed_of
from medstress.table_spec import TableSpec

Floats = npt.NDArray[np.float64]
Key = tuple[str, ...]


@dataclass(frozen=True)
class Trainings:
    """Values whose resamples vary with the training, and the runs of strategies that were trained once."""

    values: Mapping[Key, Floats]
    one_seed: frozenset[str]


def with_trainings(
    spec: TableSpec, values: Mapping[Key, Floats], by_seed: Mapping[Key, Sequence[float]], sides: Sides
) -> Trainings:
    """The values of :func:`medstress.score.claim_measures.measure` with trainings redrawn, by their values by seed.

    A training on several data sets at once is drawn once for all of them.
    """
    varied: dict[Key, Floats] = dict(values)
    chosen = {run for runs in sides.values() for run in runs}
    trained = [key for key in values if key[0] in chosen and named_parts(key[0])["strategy"]]
    one_seed = frozenset(key[0] for key in trained if len(by_seed[key]) == 1)
    spread = _spread([by_seed[key] for key in trained], spec.statistics.confidence)
    if spread is None:
        return Trainings(varied, one_seed)
    for key in trained:
        error = spread / math.sqrt(len(by_seed[key]))
        draws = generator(seed_of("training", *_training(spec, key))).standard_normal(len(values[key]) - 1)
        varied[key] = values[key] + error * np.concatenate([[0.0], draws])
    return Trainings(varied, one_seed)


def _spread(by_seed: Sequence[Sequence[float]], confidence: float) -> float | None:
    """The standard deviation over seeds, pooled and lengthened for few; None where nothing was trained twice."""
    repeated = [np.asarray(one, np.float64) for one in by_seed if len(one) > 1]
    freedom = sum(len(one) - 1 for one in repeated)
    if not freedom:
        return None
    squares = sum(float(((one - one.mean()) ** 2).sum()) for one in repeated)
    upper = (1 + confidence) / 2
    return math.sqrt(squares / freedom) * float(stdtrit(freedom, upper) / ndtri(upper))


def _training(spec: TableSpec, key: Key) -> Key:
    """What tells trainings apart: the runs behind a family on a data set, and what each of them varies by."""
    run, dataset, *cell = key
    members = spec.members.get(run, {}).get(dataset)
    return (*(members or [run, dataset]), *cell)

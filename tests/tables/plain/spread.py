"""Numbers of the tables on uncertainty, noise and order, counted in plain Python."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean, stdev
from typing import Any

from scipy.optimize import brentq
from scipy.stats import binomtest, nct, t

from medstress.score.bootstrap import draws
from tests.tables.generated_study import FAMILIES, LEVELS, TASKS, TYPES
from tests.tables.plain.rows import (
    ALL,
    BANDED,
    FEW,
    PRIMARY,
    RESAMPLES,
    Found,
    Numbers,
    Pair,
    Rows,
    clean_of,
    many,
    mean,
    of,
    of_pairs,
    pairs_of,
    size,
    under,
    whole,
)


def _primary(rows: Rows) -> Iterator[tuple[str, str, Rows]]:
    for task, names in TASKS.items():
        own = [row for row in whole(rows) if row.task == task and row.metric == PRIMARY[task]]
        yield from ((task, dataset, of(under(own, *TYPES), dataset)) for dataset in names)


def _spread(values: Sequence[float], groups: Sequence[str]) -> float:
    middle, names = fmean(values), sorted(set(groups))
    sums = [math.fsum(v - middle for v, g in zip(values, groups, strict=True) if g == name) for name in names]
    return math.sqrt(math.fsum((s * len(names) / len(values)) ** 2 for s in sums) / (len(names) - 1))


def _detectable(spread: float, groups: int) -> float:
    """By noncentral t: which drop a test of so many groups finds in four of five studies."""
    bound = t.ppf(0.975, groups - 1)

    def missing(drop: float) -> float:
        shift = drop / spread * math.sqrt(groups)
        return float(nct.sf(bound, groups - 1, shift) + nct.sf(bound, groups - 1, -shift)) - 0.8

    return float(brentq(missing, spread * 0.1, spread * 10, xtol=1e-14, rtol=1e-13))


def uncertainty(rows: Rows) -> Found:
    for task, dataset, own in _primary(rows):
        for run in FAMILIES[task]:  # type: ignore[index]
            pairs = pairs_of(of(own, dataset, run))
            seeds = {pair.row.seed for pair in pairs}
            cells = many(pairs, lambda pair: (pair.row.group_id, *pair.cell))
            shared = {key: part for key, part in cells.items() if len(part) == len(seeds)}
            groups = len({key[0] for key in shared})
            data = _standard_error(shared)
            found: Numbers = {"drop": mean(p.drop for p in pairs), "se_data": data, "n_pairs": len(pairs)}
            found |= {"n_groups": groups, "n_seeds": len(seeds)}
            found["n_pairs_left_out"] = len(pairs) - sum(map(len, shared.values()))
            seed = None
            if len(seeds) > 1:
                by_seed = many([p for part in shared.values() for p in part], lambda pair: pair.row.seed).values()
                seed = stdev([fmean(pair.drop for pair in part) for part in by_seed]) / math.sqrt(len(seeds))
            found |= {"se_seed": seed, "se_total": math.hypot(data, seed or 0.0)}
            found["detectable_drop"] = _detectable(data * math.sqrt(groups), groups) if data else None
            draw = _draw({key: fmean(p.drop for p in part) for key, part in shared.items()})
            found["se_draw_at_most"] = None if draw is None else min(draw, data)
            yield (dataset, run), found


def _standard_error(cells: dict[tuple[Any, ...], list[Pair]]) -> float:
    """Of the mean over cells, whose keys begin with their groups."""
    values = [fmean(pair.drop for pair in part) for part in cells.values()]
    return _spread(values, [key[0] for key in cells]) / math.sqrt(len({key[0] for key in cells}))


def _draw(cells: dict[tuple[Any, ...], float]) -> float | None:
    by_image = many(cells.items(), lambda item: (item[0][1], item[0][3]))
    table: dict[str, dict[str, float]] = {}
    for (image, kind), part in by_image.items():
        table.setdefault(image, {})[kind] = fmean(value for _, value in part)
    full = [row for row in table.values() if len(row) == len({key[3] for key in cells})]
    kinds = sorted(full[0]) if full else []
    if len(full) < 2 or len(kinds) < 2:
        return None
    everything = fmean(row[kind] for row in full for kind in kinds)
    columns = {kind: fmean(row[kind] for row in full) for kind in kinds}
    squares = [(row[k] - fmean(row.values()) - columns[k] + everything) ** 2 for row in full for k in kinds]
    variance = math.fsum(squares) / ((len(full) - 1) * (len(kinds) - 1))
    return math.sqrt(variance / len(squares))


def severity_matched(rows: Rows) -> Found:
    for task, dataset, own in _primary(rows):
        runs = FAMILIES[task]  # type: ignore[index]
        banded = under(own, *BANDED)
        cells: dict[str, dict[Any, tuple[float, float]]] = {}
        for run in runs:
            pairs = pairs_of(of(banded, dataset, run))
            seeds = {pair.row.seed for pair in pairs}
            cells[run] = {
                cell: (fmean(pair.drop for pair in part), fmean(pair.clean for pair in part))
                for cell, part in many(pairs, lambda pair: pair.cell).items()
                if len(part) == len(seeds)
            }
        reference = cells[runs[1]]
        for run in runs:
            both = [cell for cell in cells[run] if cell in reference]
            clean = fmean(reference[cell][1] for cell in both)
            curve = [(0.0, 0.0)]
            for level in LEVELS:
                at = [cell for cell in both if cell[3] == level]
                curve.append((fmean(reference[cell][0] for cell in at), fmean(cells[run][cell][0] for cell in at)))
            found: Numbers = {"n_groups": size(of_pairs(pairs_of(banded)), "group_id")}
            for share in (1, 2, 5, 10):
                level_at, drop = _matched(curve, share / 100 * clean)
                found |= {f"reference_drop_at_{share}": share / 100 * clean, f"drop_at_{share}": drop}
                found[f"level_at_{share}"] = level_at
            yield (dataset, run), found


def _matched(curve: list[tuple[float, float]], target: float) -> tuple[float | None, float | None]:
    """Where the first curve first meets the target, and the second curve there."""
    for place in range(1, len(curve)):
        below, above = curve[place - 1][0], curve[place][0]
        if above >= target:
            part = (target - below) / (above - below)
            return place - 1 + part, curve[place - 1][1] + part * (curve[place][1] - curve[place - 1][1])
    return None, None


def _sign_test(differences: list[float]) -> float:
    given = [one for one in differences if one]
    return float(binomtest(sum(one > 0 for one in given), len(given)).pvalue) if given else 1.0


def _signed_ranks(differences: list[float]) -> float:
    """Wilcoxon's test by trying all signs."""
    given = [one for one in differences if one]
    sizes = [abs(one) for one in given]
    ranks = [fmean(i + 1 for i, x in enumerate(sorted(sizes)) if math.isclose(x, one)) for one in sizes]
    observed = abs(math.fsum(math.copysign(rank, one) for rank, one in zip(ranks, given, strict=True)))
    tried = [
        abs(math.fsum(sign * rank for sign, rank in zip(signs, ranks, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(ranks))
    ]
    return fmean(one >= observed - 1e-9 for one in tried)


def comparisons(rows: Rows) -> Found:
    found: dict[tuple[Any, ...], Numbers] = {}
    task_of: dict[str, str] = {}
    for task, dataset, own in _primary(rows):
        task_of[dataset] = task
        runs = FAMILIES[task]  # type: ignore[index]
        for measure in ("clean", "drop"):
            answers: dict[str, dict[Any, float]] = {}
            for run in runs:
                mine = of(own, dataset, run)
                values = [(r.sample_id, r.object_id, "clean", 0, r.group_id, r.value or 0.0) for r in clean_of(mine)]
                if measure == "drop":
                    values = [(*pair.cell, pair.row.group_id, pair.drop) for pair in pairs_of(mine)]
                by_cell = many(values, lambda one: one[:5])
                answers[run] = {cell: fmean(one[5] for one in part) for cell, part in by_cell.items()}
            for first, second in itertools.combinations(runs, 2):
                both = {
                    cell: (answers[first][cell], answers[second][cell])
                    for cell in answers[first]
                    if cell in answers[second]
                }
                by_group = many(both.items(), lambda item: item[0][4])
                means = [round(fmean(a - b for _, (a, b) in part), 12) for part in by_group.values()]
                right = measure == "clean" and all(x in (0.0, 1.0) for pair in both.values() for x in pair)
                p = None
                # Runs that answer alike are not tested.
                if len(by_group) >= FEW and any(round(a - b, 12) for a, b in both.values()):
                    p = _sign_test(means) if right else _signed_ranks(means)
                found[dataset, measure, first, second] = {
                    "difference": fmean(a - b for a, b in both.values()),
                    "n_values": len(both),
                    "n_groups": len(by_group),
                    "p": p,
                }
    baselines = {runs[0] for runs in FAMILIES.values()}
    families = many(found, lambda key: (task_of[key[0]], key[1], bool(baselines & {key[2], key[3]})))
    for family in families.values():
        tested = sorted((p, key) for key in family if (p := found[key]["p"]) is not None)
        least = 1.0
        # Benjamini and Hochberg: from the largest p down.
        for place in range(len(tested), 0, -1):
            p, key = tested[place - 1]
            least = min(least, p * len(tested) / place)
            found[key]["q"] = least
    for one in found.values():
        one.setdefault("q", None)
    yield from found.items()


def ranking(rows: Rows) -> Found:
    over: dict[tuple[str, str], list[dict[str, list[float]]]] = {}
    groups_of: dict[str, list[int]] = {}
    for task, dataset, own in _primary(rows):
        runs = FAMILIES[task][1:]  # type: ignore[index]
        whole = {run: pairs_of(of(own, dataset, run)) for run in runs}
        answers = {run: len({pair.row.seed for pair in part}) for run, part in whole.items()}
        cells = {run: many(part, lambda pair: (pair.row.group_id, *pair.cell)) for run, part in whole.items()}
        # What every run has with all its seeds.
        in_all = {key for key in cells[runs[0]] if all(len(cells[run].get(key, [])) == answers[run] for run in runs)}
        pairs = {run: [p for p in part if (p.row.group_id, *p.cell) in in_all] for run, part in whole.items()}
        names = sorted({pair.row.group_id for part in pairs.values() for pair in part})
        groups_of.setdefault(task, []).append(len(names))
        drawn = [list(range(len(names)))]
        if len(names) >= FEW:
            drawn += [list(one) for part in draws(len(names), dataset, RESAMPLES) for one in part.tolist()]
        by_group = {run: many(part, lambda pair: pair.row.group_id) for run, part in pairs.items()}
        for measure in ("perturbed", "drop"):
            means = {run: [_drawn_mean(by_group[run], names, one, measure) for one in drawn] for run in runs}
            over.setdefault((task, measure), []).append(means)
            for run, numbers in _ranked(means, measure == "drop", len(names)).items():
                complete = {key: part for key, part in cells[run].items() if len(part) == answers[run]}
                groups = len({key[0] for key in complete})
                spread = _standard_error(complete) * math.sqrt(groups)
                numbers |= {"detectable_drop": _detectable(spread, groups) if spread else None}
                yield (task, dataset, measure, run), numbers | {"n_groups": len(names), "n_datasets": 1}
    for (task, measure), parts in over.items():
        length = min(len(part[run]) for part in parts for run in part)
        means = {run: [fmean(part[run][i] for part in parts) for i in range(length)] for run in parts[0]}
        fewest = min(groups_of[task])
        for run, numbers in _ranked(means, measure == "drop", fewest).items():
            numbers |= {"detectable_drop": None, "n_groups": fewest, "n_datasets": 3}
            yield (task, ALL, measure, run), numbers


def _drawn_mean(by_group: dict[str, list[Pair]], names: list[str], drawn: Iterable[int], measure: str) -> float:
    return fmean(getattr(pair, measure) for place in drawn for pair in by_group.get(names[place], []))


def _ranked(means: dict[str, list[float]], smaller: bool, groups: int) -> dict[str, Numbers]:
    """Of two runs."""
    found: dict[str, Numbers] = {}
    for run, other in itertools.permutations(means):
        signs = [(a - b) * (-1 if smaller else 1) for a, b in zip(means[run], means[other], strict=True)]
        signs = [0 if abs(sign) < 1e-12 else math.copysign(1, sign) for sign in signs]
        one: Numbers = {"mean": means[run][0], "place": 1 + (signs[0] < 0)}
        one |= dict.fromkeys(("share_first", "mean_rank", "tau"))
        if groups >= FEW:
            one["share_first"] = fmean((sign + 1) / 2 for sign in signs[1:])
            one["mean_rank"] = fmean(1.5 - sign / 2 for sign in signs[1:])
            one["tau"] = mean(sign * signs[0] for sign in signs[1:] if sign and signs[0])
        found[run] = one
    return found

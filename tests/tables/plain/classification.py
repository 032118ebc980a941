"""Numbers of the tables of classification, counted in plain Python."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from tests.tables.generated_study import LEVELS, METRICS, TASKS, TYPES
from tests.tables.plain.rows import (
    ALL,
    Found,
    Numbers,
    Rows,
    clean_of,
    each_run,
    left_out,
    many,
    mean,
    of,
    of_pairs,
    pairs_of,
    size,
    there,
    under,
)
from tests.tables.plain.segmentation import _over_seeds


@dataclass(frozen=True)
class Errors:
    """1 less means of accuracy: clean, by type and level, and above the clean error of the same images."""

    clean: float
    cells: dict[tuple[str, int], float]
    rise: dict[tuple[str, int], float]

    def of_type(self, kind: str) -> float | None:
        return mean(self.cells.get((kind, level)) for level in LEVELS)


def errors(rows: Rows, kinds: Sequence[str] = TYPES) -> Errors:
    own = [row for row in under(rows, *kinds) if row.metric == "accuracy"]
    before = {(row.seed, row.sample_id): row.value or 0.0 for row in clean_of(own)}
    cells = many([row for row in own if row.level and there(row)], lambda row: (row.perturbation, row.level))
    rise = {
        cell: mean(
            before[row.seed, row.sample_id] - (row.value or 0.0) for row in part if (row.seed, row.sample_id) in before
        )
        for cell, part in cells.items()
    }
    return Errors(
        1 - fmean(before.values()),
        {cell: 1 - fmean(row.value or 0.0 for row in part) for cell, part in cells.items()},
        {cell: value for cell, value in rise.items() if value is not None},
    )


def quotient(above: dict[tuple[str, int], float], below: dict[tuple[str, int], float], kind: str) -> float | None:
    both = [(kind, level) for level in LEVELS if (kind, level) in above and (kind, level) in below]
    under_it = [below[cell] for cell in both]
    if not both or fmean(under_it) < 0.01:
        return None
    return 100 * math.fsum(above[cell] for cell in both) / math.fsum(under_it)


def classification_main(rows: Rows) -> Found:
    whole_study: dict[str, list[Numbers]] = {}
    rows = under(rows, *TYPES)
    for dataset, run in each_run("classification"):
        own, base = of(rows, dataset, run), errors(of(rows, dataset, "clip"))
        mine = errors(own)
        quotients = [quotient(mine.cells, base.cells, kind) for kind in TYPES]
        relative = [quotient(mine.rise, base.rise, kind) for kind in TYPES]
        measures: Numbers = {
            "clean_error": mine.clean,
            "mean_error": mean(mine.of_type(kind) for kind in TYPES),
            "clean_error_relative": 100 * mine.clean / base.clean if base.clean >= 0.01 else None,
            "mce": mean(quotients),
            "rce": mean(relative),
            "be": None,
            "rbe": None,
        }
        whole_study.setdefault(run, []).append(measures)
        clean = {metric: clean_of(of(own, dataset, run, metric)) for metric in METRICS["classification"]}
        found = measures | {metric: mean(row.value for row in part) for metric, part in clean.items()}
        classes = many(clean["accuracy"], lambda row: row.object_id).values()
        found["worst_class_accuracy"] = min(mean(row.value for row in part) or 0.0 for part in classes)
        found |= {"n_types": 3, "n_be_types": 0, "n_rbe_types": 0}
        found |= {"n_ce_types": sum(one is not None for one in quotients)}
        found |= {"n_rce_types": sum(one is not None for one in relative)}
        found |= {"n_samples": size(own, "sample_id"), "n_groups": size(own, "group_id")}
        counts = left_out(of(own, dataset, run, "accuracy"))
        yield (dataset, run), found | {name: counts[name] for name in ("n_unreachable", "n_failed")}
    for run, parts in whole_study.items():
        over = {
            name: mean(part[name] for part in parts) if all(part[name] is not None for part in parts) else None
            for name in parts[0]
        }
        yield (ALL, run), over


def classification_corruptions(rows: Rows) -> Found:
    for dataset, run in each_run("classification"):
        own, base = of(rows, dataset, run), errors(of(rows, dataset, "clip"))
        for kind in (*TYPES, *(["pgd"] if run != "majority" else [])):
            mine = errors(own, (kind,))
            part = under(of(own, dataset, run, "accuracy"), kind)
            pairs, counts = pairs_of(part), left_out([row for row in part if row.level])
            beside = kind != "pgd"
            found: Numbers = {f"error_{level}": mine.cells.get((kind, level)) for level in LEVELS}
            found |= {"mean_error": mine.of_type(kind), "drop": mean(pair.drop for pair in pairs)}
            found["ce"] = quotient(mine.cells, base.cells, kind) if beside else None
            found["relative_ce"] = quotient(mine.rise, base.rise, kind) if beside else None
            found |= {"n_samples": size(of_pairs(pairs), "sample_id"), "n_pairs": len(pairs)}
            found["n_groups"] = size(of_pairs(pairs), "group_id")
            yield (dataset, run, kind), found | {name: counts[name] for name in ("n_unreachable", "n_failed")}


def classification_fewshot(rows: Rows) -> Found:
    rows = under(rows, *TYPES)
    for dataset in TASKS["classification"]:
        own, start = (of(rows, dataset, run, "accuracy") for run in ("clip+few", "clip"))
        base = errors(start)
        by_seed = [errors(part) for part in many(own, lambda row: row.seed).values()]
        found: Numbers = {"n_seeds": len(by_seed), "n_samples": size(own, "sample_id")}
        found |= {"fraction": None, "n_shots": None}
        _over_seeds(found, "clean_error", [one.clean for one in by_seed])
        _over_seeds(found, "mean_error", [mean(one.of_type(kind) for kind in TYPES) for one in by_seed])
        _over_seeds(found, "mce", [mean(quotient(one.cells, base.cells, kind) for kind in TYPES) for one in by_seed])
        before = {(r.sample_id, r.object_id, r.perturbation, r.level): r.value or 0.0 for r in start if there(r)}
        gains = []
        for row in own:
            key = (row.sample_id, row.object_id, row.perturbation, row.level)
            if there(row) and key in before:
                gains.append((row, (row.value or 0.0) - before[key]))
        found["clean_gain"] = mean(gain for row, gain in gains if not row.level)
        found["corrupted_gain"] = mean(gain for row, gain in gains if row.level)
        found |= {"n_pairs": len(gains), "n_groups": size((row for row, _ in gains), "group_id")}
        counts = left_out(own)
        yield (dataset, "clip+few"), found | {name: counts[name] for name in ("n_unreachable", "n_failed")}

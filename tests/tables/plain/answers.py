"""Numbers of the tables of answers and of claims, counted in plain Python."""

import itertools
import math

from tests.tables.generated_study import FAMILIES, METRICS, TASKS, TYPES
from tests.tables.plain.rows import (
    SMALLER,
    Found,
    Numbers,
    Rows,
    answer_counts,
    clean_of,
    each_run,
    family,
    many,
    mean,
    of,
    of_pairs,
    pairs_of,
    size,
    there,
    three,
    under,
    whole,
)
from tests.tables.plain.segmentation import _levels


def answers_main(rows: Rows) -> Found:
    rows, task = whole(rows), rows[0].task
    for (dataset, run), metric in itertools.product(each_run(task), METRICS[task]):  # type: ignore[index]
        own = of(rows, dataset, run, metric)
        clean, pairs = [row for row in own if not row.level], pairs_of(own)
        answered, means = clean_of(own), three(pairs)
        score, moved = mean(row.value for row in answered), means["perturbed"]
        assert score is not None and moved is not None
        found: Numbers = {"clean": score, "perturbed": moved, "drop": means["drop"], "n_pairs": len(pairs)}
        found |= {"delta_tp": (score - moved) * (-1 if metric in SMALLER else 1)}
        found["clean_failed_as_wrong"] = math.fsum(row.value or 0.0 for row in answered) / len(clean)
        for kind in TYPES:
            found[f"perturbed_{kind}"] = mean(pair.perturbed for pair in pairs if pair.row.perturbation == kind)
        found["share_worse"] = mean(float(pair.drop > 0) for pair in pairs)
        found["share_better"] = mean(float(pair.drop < 0) for pair in pairs)
        found |= {"n_samples": size(own, "sample_id"), "n_groups": size(own, "group_id")}
        yield (dataset, run, metric), found | answer_counts(own)


def answers_levels(rows: Rows) -> Found:
    rows, task = whole(rows), rows[0].task
    for (dataset, run), metric in itertools.product(each_run(task), METRICS[task]):  # type: ignore[index]
        for scale, level, part, pairs in _levels(of(rows, dataset, run, metric)):
            counted = clean_of(part) if pairs is None else of_pairs(pairs)
            found: Numbers = {"score": mean(row.value for row in counted), "n_values": len(counted)}
            found["drop"] = None if pairs is None else mean(pair.drop for pair in pairs)
            found |= {"n_samples": size(counted, "sample_id"), "n_groups": size(counted, "group_id")}
            yield (dataset, run, scale, level, metric), found | answer_counts(part)


def _above(part: float | None, all_of_it: float | None, chance: float) -> float | None:
    if part is None or all_of_it is None or all_of_it - chance < 0.01:
        return None
    return (part - chance) / (all_of_it - chance)


def vqa_shifts(rows: Rows) -> Found:
    metrics = [name for name in METRICS["vqa"] if not name.endswith("_flip")]
    shifts = {"perturbations": TYPES, **{kind: (kind,) for kind in TYPES}}
    for dataset, metric in itertools.product(TASKS["vqa"], metrics):
        chance = 0.25 if metric == "closed_accuracy" else 0.0
        for shift in [*(["modality"] if dataset == "v1" else []), *shifts]:
            found: dict[str, Numbers] = {}
            for run in FAMILIES["vqa"]:
                own = of(rows, dataset, run, metric)
                if shift == "modality":
                    sides = [[row for row in own if row.subset == f"modality/{side}"] for side in ("iid", "ood")]
                    values = [[row.value for row in part if there(row)] for part in sides]
                    counted = [[row for row in part if there(row)] for part in sides]
                else:
                    part = under(whole(own), *shifts[shift])
                    pairs = pairs_of(part)
                    sides = [[row for row in part if not row.level], [row for row in part if row.level]]
                    values = [[pair.clean for pair in pairs], [pair.perturbed for pair in pairs]]
                    counted = [of_pairs(pairs)] * 2
                iid, ood = map(mean, values)
                assert iid is not None and ood is not None
                found[run] = {
                    "iid": iid,
                    "ood": ood,
                    "drop": iid - ood,
                    "relative_robustness": _above(ood, iid, chance),
                }
                for side, part, there_is in zip(("iid", "ood"), sides, counted, strict=True):
                    given = answer_counts(part)
                    found[run] |= {f"n_{side}_{name[2:]}": count for name, count in given.items()}
                    found[run] |= {f"n_{side}_samples": size(part, "sample_id"), f"chance_{side}": chance}
                    found[run][f"n_{side}_groups"] = size(there_is, "group_id")
                    found[run][f"baseline_{side}"] = None
            blind = found["asker~no_image"]
            for run, numbers in found.items():
                for side in ("iid", "ood"):
                    given_blind = blind[side] if run == "asker" else None
                    numbers[f"no_image_{side}"] = given_blind
                    numbers[f"explained_{side}"] = _above(given_blind, numbers[side], chance)
                yield (dataset, shift, metric, run), numbers


def claims(rows: Rows) -> Found:
    own = [row for row in under(rows, *TYPES) if row.metric == "iou" and family(row) == "net"]
    by_dataset = many(pairs_of(own), lambda pair: pair.row.dataset).values()
    yield ("net_drops",), {"effect": mean(mean(p.drop for p in part) for part in by_dataset), "n_groups": 3}

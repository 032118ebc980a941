"""Numbers of the tables of segmentation, counted in plain Python."""

import itertools
import math
from collections.abc import Iterator
from statistics import stdev
from typing import Any

from tests.tables.generated_study import LEVELS, METRICS, TYPES
from tests.tables.plain.rows import (
    BANDED,
    Found,
    Numbers,
    Pair,
    Rows,
    clean_of,
    each_run,
    family,
    left_out,
    many,
    mean,
    objects,
    of,
    of_pairs,
    pairs_of,
    size,
    three,
    under,
)


def segmentation_main(rows: Rows) -> Found:
    rows = under(rows, *TYPES)
    for dataset, run in each_run("segmentation"):
        own = of(rows, dataset, run)
        found: Numbers = {"n_objects": objects(own), "n_groups": size(own, "group_id")}
        for metric in METRICS["segmentation"]:
            part = of(own, dataset, run, metric)
            pairs, clean = pairs_of(part), mean(row.value for row in clean_of(part))
            means = three(pairs)
            found |= {f"{metric}_clean": clean, f"{metric}_perturbed": means["perturbed"]}
            found |= {f"{metric}_drop": means["drop"]}
            gap = clean - means["perturbed"] if clean is not None and means["perturbed"] is not None else None
            found[f"{metric}_delta_tp"] = -gap if metric == "hd95" and gap is not None else gap
            if metric != "hd95":
                found[f"{metric}_kept"] = math.fsum(p.perturbed for p in pairs) / math.fsum(p.clean for p in pairs)
        first = of(own, dataset, run, "iou")
        yield (dataset, run), found | {"n_pairs": len(pairs_of(first))} | left_out(first)


def segmentation_perturbations(rows: Rows) -> Found:
    for (dataset, run), kind in itertools.product(each_run("segmentation"), TYPES):
        own = under(of(rows, dataset, run, "iou"), kind)
        pairs = pairs_of(own)
        found = {"drop": mean(pair.drop for pair in pairs), "n_objects": objects(of_pairs(pairs))}
        found |= {"n_pairs": len(pairs), "n_groups": size(of_pairs(pairs), "group_id")}
        yield (dataset, kind, run), found | left_out([row for row in own if row.level])


def _levels(own: Rows) -> Iterator[tuple[str, int, Rows, list[Pair] | None]]:
    """Scale, level, its scores, and of what is no clean image the pairs."""
    yield "clean", 0, [row for row in own if not row.level], None
    for scale, names in (("ssim", BANDED), ("table", ("rotation",))):
        for level in LEVELS:
            part = [row for row in own if not row.level or (row.perturbation in names and row.level == level)]
            yield scale, level, [row for row in part if row.level], pairs_of(part)


def segmentation_levels(rows: Rows) -> Found:
    for dataset, run in each_run("segmentation"):
        found: dict[tuple[Any, ...], Numbers] = {}
        for metric in ("iou", "dice"):
            for scale, level, part, pairs in _levels(of(rows, dataset, run, metric)):
                counted = clean_of(part) if pairs is None else of_pairs(pairs)
                one = found.setdefault((dataset, run, scale, level), {})
                one[metric] = mean(row.value for row in counted)
                one[f"{metric}_drop"] = None if pairs is None else mean(pair.drop for pair in pairs)
                if metric == "iou":
                    one |= {"n_objects": objects(counted), "n_groups": size(counted, "group_id")}
                    one |= {"n_values": len(counted)} | left_out(part)
        yield from found.items()


def _over_seeds(found: Numbers, name: str, by_seed: list[float | None]) -> None:
    given = [value for value in by_seed if value is not None]
    found |= {name: mean(given), f"{name}_sd": stdev(given) if len(given) > 1 else None}
    found |= {f"{name}_min": min(given, default=None), f"{name}_max": max(given, default=None)}


def segmentation_strategies(rows: Rows) -> Found:
    for dataset, run in each_run("segmentation"):
        own = under(of(rows, dataset, run, "iou"), *TYPES)
        clean, pairs = clean_of(own), pairs_of(own)
        found: Numbers = {"n_seeds": size(clean, "seed"), "n_objects": objects(clean), "n_pairs": len(pairs)}
        found["n_groups"] = size(clean, "group_id")
        _over_seeds(found, "clean", [mean(r.value for r in part) for part in many(clean, lambda r: r.seed).values()])
        seeds = many(pairs, lambda pair: pair.row.seed).values()
        for name in ("perturbed", "drop"):
            _over_seeds(found, name, [three(part)[name] for part in seeds])
        yield (dataset, run), found | left_out(own)


def segmentation_adversarial(rows: Rows) -> Found:
    for dataset, run in each_run("segmentation"):
        for level in LEVELS if run != "box" else ():
            found: Numbers = {"epsilon": 2 * level}
            for metric in ("iou", "dice"):
                own = [row for row in of(rows, dataset, run, metric) if row.level in (0, level)]
                pairs = pairs_of(under(own, "pgd"))
                means = three(pairs)
                found |= {f"{metric}_clean": means["clean"], metric: means["perturbed"]}
                found |= {f"{metric}_drop": means["drop"]}
                if metric == "iou":
                    counted = of_pairs(pairs)
                    found |= {"n_objects": objects(counted), "n_groups": size(counted, "group_id")}
                    found |= {"n_values": len(pairs)} | left_out([r for r in under(own, "pgd") if r.level])
            yield (dataset, run, "pgd", level), found


def segmentation_transfer(rows: Rows) -> Found:
    for (dataset, run), level in itertools.product(each_run("segmentation"), LEVELS):
        name = "pgd" if run == "net" else "pgd@net"
        own = [row for row in under(of(rows, dataset, run, "iou"), name) if row.level in (0, level)]
        pairs = pairs_of(own)
        found = {"drop": mean(pair.drop for pair in pairs), "n_objects": objects(of_pairs(pairs))}
        found |= {"n_groups": size(of_pairs(pairs), "group_id"), "n_values": len(pairs), "epsilon": 2 * level}
        yield (dataset, "pgd", level, "net", run), found | left_out([row for row in own if row.level])


def segmentation_prompts(rows: Rows) -> Found:
    for dataset, run in each_run("segmentation"):
        own = under(of(rows, dataset, run, "iou"), "grown")
        for level, share in ((0, 0.0), (1, 0.05), (2, 0.1)):
            part = [row for row in own if row.level in (0, level)]
            pairs = pairs_of(part)
            counted = of_pairs(pairs) if level else clean_of(part)
            found = {"share": share, "score": mean(row.value for row in counted)}
            found |= {"drop": mean(pair.drop for pair in pairs), "n_objects": objects(counted)}
            found |= {"n_groups": size(counted, "group_id")} | left_out([row for row in part if row.level == level])
            yield (dataset, run, "grown" if level else "right", level), found


def segmentation_top(rows: Rows) -> Found:
    found = {}
    for kind in TYPES:
        own = [row for row in under(rows, kind) if row.metric == "iou" and family(row) != "box"]
        pairs = pairs_of(own)
        means = [mean(p.drop for p in part) for part in many(pairs, lambda p: (p.row.dataset, family(p.row))).values()]
        given = [value for value in means if value is not None]
        found[kind] = {"drop": mean(given), "drop_min": min(given), "drop_max": max(given), "n_means": len(given)}
        found[kind] |= {"n_pairs": len(pairs), "n_datasets": 3, "n_runs": 2, "n_groups": 3}
        found[kind] |= left_out([row for row in own if row.level])
    order = sorted(TYPES, key=lambda kind: -(found[kind]["drop"] or 0))
    for kind in TYPES:
        yield (kind,), found[kind] | {"rank": order.index(kind) + 1}


def segmentation_groups(rows: Rows) -> Found:
    for dataset, run in each_run("segmentation"):
        own = under(of(rows, dataset, run, "iou"), *TYPES)
        sizes = [objects(part) for part in many(own, lambda row: row.group_id).values()]
        found: Numbers = {"n_groups": len(sizes), "n_objects": sum(sizes)}
        found |= {"n_smallest_group": min(sizes), "n_largest_group": max(sizes)} | left_out(own)
        for name, counted in (("clean", clean_of(own)), ("perturbed", of_pairs(pairs_of(own)))):
            groups = many(counted, lambda row: row.group_id)
            means = {group: mean(row.value for row in part) or 0.0 for group, part in groups.items()}
            worst = min(means, key=lambda group: (means[group], group))
            found |= {f"{name}_mean": mean(row.value for row in counted), f"{name}_worst": means[worst]}
            found[f"n_{name}_objects"] = objects(groups[worst])
        yield (dataset, run), found


def _published(rows: Rows) -> Iterator[tuple[tuple[str, ...], Rows, dict[str, list[Pair]]]]:
    for dataset, run in each_run("segmentation"):
        model, _, strategy = run.partition("+")
        for kind, names in (("perturbation", TYPES), ("adversarial", ("pgd",) if run != "box" else ())):
            own = under(of(rows, dataset, run), *names)
            if names:
                pairs = {metric: pairs_of(of(own, dataset, run, metric)) for metric in ("iou", "dice")}
                yield (model, dataset, strategy or "pretrained", kind), clean_of(own), pairs


_PUBLISHED = {"jpeg": "compression_artifacts"}


def published_summary(rows: Rows) -> Found:
    for names, clean, pairs in _published(rows):
        found: dict[str, Numbers] = {}
        for metric, title in (("iou", "IoU"), ("dice", "Dice")):
            first = mean(row.value for row in clean if row.metric == metric)
            moved = mean(pair.perturbed for pair in pairs[metric])
            assert first is not None and moved is not None
            found.setdefault("Clean", {}).update({title: first, f"{title}_Drop": 0.0})
            found.setdefault("Avg", {}).update({title: moved, f"{title}_Drop": mean(p.drop for p in pairs[metric])})
            found.setdefault("ΔTP", {}).update({title: first - moved, f"{title}_Drop": first - moved})
            for kind, part in many(pairs[metric], lambda pair: pair.row.perturbation).items():
                means = three(part)
                one = {title: means["perturbed"], f"{title}_Drop": means["drop"]}
                found.setdefault(_PUBLISHED.get(kind, kind), {}).update(one)
        yield from (((*names, name), numbers) for name, numbers in found.items())


def published_by_level(rows: Rows) -> Found:
    for names, _, pairs in _published(rows):
        found: dict[tuple[Any, ...], Numbers] = {}
        for metric, own in pairs.items():
            for (kind, level), part in many(own, lambda pair: (pair.row.perturbation, pair.row.level)).items():
                key = (*names, _PUBLISHED.get(kind, kind), level)
                found.setdefault(key, {})[f"adversarial_{metric}"] = mean(pair.perturbed for pair in part)
        yield from found.items()

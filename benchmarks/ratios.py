"""Prints what a benchmark run says: milliseconds per stored image, SSIM against scikit-image, models against loops.

All figures are of the fastest round: processor time, which other work on the machine changes little; of classifiers,
the journal of answers and a server the time of the clock.
"""

import json
import sys
from pathlib import Path
from statistics import mean

everything = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["benchmarks"]
run = [case for case in everything if case["params"] and "size" in case["params"]]
sizes = list(dict.fromkeys(case["params"]["size"] for case in run))


def seconds(test: str, size: str) -> list[tuple[str, float]]:
    """Seconds of each case of a test, per stored image where it stores some."""
    return [
        (case["params"].get("name", ""), case["stats"]["min"] / case["extra_info"].get("stored_images", 1))
        for case in run
        if case["name"].startswith(f"{test}[") and case["params"]["size"] == size
    ]


SLOWEST = 3

print(
    f"{'':10} {'SSIM, ms':>9} {'scikit-image':>13} {'ratio':>6}   {'types':>5} {'stored image, ms':>17}   slowest types"
)
for size in sizes:
    ours, theirs = seconds("test_ssim_medstress", size)[0][1], seconds("test_ssim_scikit_image", size)[0][1]
    types = seconds("test_five_levels", size)
    slowest = sorted(types, key=lambda item: -item[1])[:SLOWEST]
    print(
        f"{size:10} {1e3 * ours:9.2f} {1e3 * theirs:13.2f} {theirs / ours:6.1f}   "
        f"{len(types):5} {1e3 * mean(value for _, value in types):17.1f}   "
        + ", ".join(f"{name} {1e3 * value:.1f}" for name, value in slowest)
    )

per_box = {
    case["name"].removeprefix("test_"): case["stats"]["min"] / case["extra_info"]["boxes"]
    for case in everything
    if "boxes" in case["extra_info"]
}
if per_box:
    print(f"\n{'':34} {'ms a box':>9} {'ratio':>6}")
    for name, value in per_box.items():
        print(f"{name:34} {1e3 * value:9.1f} {value / per_box['sam_predict']:6.1f}")

per_view = {
    case["name"].removeprefix("test_"): case["stats"]["min"] / case["extra_info"]["views"]
    for case in everything
    if "views" in case["extra_info"]
}
if per_view:
    print(f"\n{'':34} {'ms a perturbed image':>20} {'ratio':>6}")
    for name, value in per_view.items():
        print(f"{name:34} {1e3 * value:20.1f} {value / per_view['study_predict']:6.1f}")

per_image = {
    case["name"].removeprefix("test_"): case["stats"]["median"] / case["extra_info"]["trained_images"]
    for case in everything
    if "trained_images" in case["extra_info"]
}
if per_image:
    print(f"\n{'':34} {'ms a trained image':>18} {'ratio':>6}")
    for name, value in per_image.items():
        print(f"{name:34} {1e3 * value:18.1f} {value / per_image[name.replace('encoding', 'cached')]:6.1f}")

per_answer = {
    (case["params"]["corrupted"], case["name"].split("[")[0].removeprefix("test_")): case["stats"]["min"]
    / case["extra_info"]["classified"]
    for case in everything
    if "classified" in case["extra_info"]
}
if per_answer:
    print(f"\n{'':42} {'ms an answer':>12} {'ratio':>6}")
    for (kind, name), value in per_answer.items():
        ratio = value / per_answer[kind, "classify_medstress"]
        print(f"{f'{name}, {kind}':42} {1e3 * value:12.2f} {ratio:6.1f}")

answers = {case["params"]["task"]: case for case in everything if "answered" in case["extra_info"]}
if answers:
    print(f"\n{'':58} {'ms an answer':>12} {'ratio':>6}")
    for task, case in answers.items():
        ours = case["stats"]["min"]
        for name, value in {"the card's batch": ours, **case["extra_info"]["ways"]}.items():
            each = 1e3 * value / case["extra_info"]["answered"]
            print(f"{f'tiny_vlm, {task}: {name}':58} {each:12.2f} {value / ours:6.1f}")

items = {case["extra_info"]["what"]: case for case in everything if "what" in case["extra_info"]}
if items:
    print(f"\n{'':56} {'seconds':>8} {'us each':>9} {'a second':>9}")
    for what, case in items.items():
        each = case["stats"]["min"] / case["extra_info"]["items"]
        print(f"{what:56} {case['stats']['min']:8.2f} {1e6 * each:9.1f} {1 / each:9.0f}")

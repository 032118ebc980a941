"""Prints what a benchmark run says: milliseconds per stored image, and SSIM against scikit-image."""

import json
import sys
from pathlib import Path
from statistics import mean

run = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["benchmarks"]
sizes = list(dict.fromkeys(case["params"]["size"] for case in run))


def seconds(test: str, size: str) -> list[tuple[str, float]]:
    """Median seconds of each case of a test, per stored image where it stores some."""
    return [
        (case["params"].get("name", ""), case["stats"]["median"] / case["extra_info"].get("stored_images", 1))
        for case in run
        if case["name"].startswith(f"{test}[") and case["params"]["size"] == size
    ]


print(f"{'':10} {'SSIM, ms':>9} {'scikit-image':>13} {'ratio':>6}   {'calibrated image, ms':>20}   slowest type")
for size in sizes:
    ours, theirs = seconds("test_ssim_medstress", size)[0][1], seconds("test_ssim_scikit_image", size)[0][1]
    types = seconds("test_five_levels", size)
    slowest = max(types, key=lambda item: item[1])
    print(
        f"{size:10} {1e3 * ours:9.2f} {1e3 * theirs:13.2f} {theirs / ours:6.1f}   "
        f"{1e3 * mean(value for _, value in types):20.1f}   {slowest[0]} {1e3 * slowest[1]:.1f}"
    )

"""All tables and figures of a finished study from its stored scores: wall time, processor time and the slowest ones.

    python -m benchmarks.paper [--study config/config.yaml] [--cores 2]

Runs Snakemake in this folder as a user would, with every table and figure made again and nothing else: where the
study is not finished, that is said first. The wall time tells something only where the cores are free.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from medstress.configfile import load_project

_SLOWEST = 5


def main() -> None:
    """Make them all again and print one line a figure of merit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=Path("config/config.yaml"))
    parser.add_argument("--cores", type=int, default=2)
    arguments = parser.parse_args()
    study = load_project(arguments.study).study
    results = Path("results") / study.study
    made = [results / "tables" / f"{name}.csv" for name in study.tables]
    made += [results / "figures" / f"{name}.svg" for name in study.figures]
    if lacking := [str(path) for path in made if not path.exists()]:
        sys.exit(f"not there yet: {', '.join(lacking)}. Finish the study first: make demo")
    command = [sys.executable, "-m", "snakemake", "--cores", str(arguments.cores), "--quiet", "all"]
    command += ["--configfile", str(arguments.study), "--forcerun", "table", "figure"]
    # Only the rules that are forced: neither a touched card nor other code asks the models again.
    command += ["--allowed-rules", "table", "figure", "--", *map(str, made)]
    load, before, started = os.getloadavg()[0], os.times(), time.perf_counter()
    subprocess.run(command, check=True)
    wall, after = time.perf_counter() - started, os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"{len(study.tables)} tables and {len(study.figures)} figures (load before: {load:.1f})")
    print(f"wall {wall:.1f} s, processor {busy:.1f} s, {arguments.cores} cores")
    facts = {path.name: json.loads(path.with_name(f"{path.name}.provenance.json").read_text("utf-8")) for path in made}
    for name in sorted(facts, key=lambda name: -facts[name]["seconds"])[:_SLOWEST]:
        print(f"{name:34}{facts[name]['seconds']:6.1f} s, without the start{facts[name]['peak_memory_mb']:6} MB")


if __name__ == "__main__":
    main()

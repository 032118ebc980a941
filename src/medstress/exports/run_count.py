"""How many runs a study has, in words."""

from collections.abc import Collection

from medstress.runs import family_of


def counted_runs(runs: Collection[str]) -> str:
    """How many runs there are as tables count them, such as `24 runs (27 with seeds)`."""
    families = len({family_of(run) for run in runs})
    counted = f"{families} run{'' if families == 1 else 's'}"
    return counted if families == len(runs) else f"{counted} ({len(runs)} with seeds)"

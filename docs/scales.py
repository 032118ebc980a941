"""The text of docs/scales.md: every published scale with its types, their values and their quirks."""

import inspect
import re
from collections.abc import Mapping

from medstress.perturb.scales.protocol import Published, Scale, Severity
from medstress.perturb.scales.registry import SCALES

_SPECIAL = re.compile(r"([\\*_<>|~\[\]#])")


def escaped(text: str) -> str:
    """A text on one line, with what Markdown would take for its own escaped."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _values(severities: tuple[Severity, ...]) -> list[str]:
    return [", ".join(f"{value:g}" for value in severity) for severity in severities]


def _distinct(variants: Mapping[str, Mapping[str, Published]]) -> list[tuple[Published, list[str]]]:
    """Each type once for each set of values, with the data sets that share it; types together."""
    found: dict[str, dict[tuple[Severity, ...], tuple[Published, list[str]]]] = {}
    for variant, kinds in variants.items():
        for kind in kinds.values():
            found.setdefault(kind.name, {}).setdefault(kind.severities, (kind, []))[1].append(variant)
    return [shared for by_values in found.values() for shared in by_values.values()]


def _table(scale: Scale) -> list[str]:
    distinct = _distinct(scale.variants)
    count = max(len(kind.severities) for kind, _ in distinct)
    by_data_set = len(scale.variants) > 1
    heads = ["type", "its name there", *(["data sets"] if by_data_set else []), "parameters"]
    heads += [f"level {level}" for level in range(1, count + 1)]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for kind, variants in distinct:
        names = [", ".join(variants) if len(variants) < len(scale.variants) else "all"] if by_data_set else []
        for severities, suffix in ((kind.severities, ""), (kind.as_published, ", with compat")):
            if severities:
                cells = [kind.name, kind.original, *names, "; ".join(kind.parameters) + suffix, *_values(severities)]
                lines.append(
                    "| " + " | ".join(escaped(cell) for cell in [*cells, *[""] * (len(heads) - len(cells))]) + " |"
                )
    return lines


def _notes(scale: Scale) -> list[str]:
    """What each type does, and after "Quirk:" what compat reproduces, from the docstrings."""
    seen = {kind.name: kind for kinds in scale.variants.values() for kind in kinds.values()}
    return [f"* **{escaped(name)}**: {escaped(inspect.getdoc(kind.realise) or '')}" for name, kind in seen.items()]


def section(scale: Scale) -> str:
    """The part of the page about one scale."""
    facts = [f"Source: {escaped(scale.source)}", *([escaped(scale.note)] if scale.note else [])]
    if any(scale.variants):
        facts.append(f"Data sets: {', '.join(scale.variants)}.")
    return "\n\n".join([f"## {scale.name}", *facts, "\n".join(_table(scale)), "\n".join(_notes(scale))])


def page() -> str:
    """The text of docs/scales.md."""
    parts = [
        "# Published scales",
        "Fixed strengths of other benchmarks, for comparison with their papers; made by `make gallery`, do not edit.\n"
        "A study asks for one with `scale: NAME`. Defects of the originals are repaired, and reproduced with\n"
        "`compat: true`. The default scale, `ssim`, is in [gallery.md](gallery.md).",
        *(section(scale) for scale in SCALES.values()),
    ]
    return "\n\n".join(parts) + "\n"

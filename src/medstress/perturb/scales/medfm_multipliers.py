"""How a level's multiplier changes the types of MedFM-Robust that have several parameters.

As in `medstress.perturb.scales.multipliers`, above 1 always means stronger. A level stays what it is.
"""

from medstress.perturb.scales.protocol import Severity


def first(severity: Severity, factor: float) -> Severity:
    """The first parameter times the factor."""
    return (severity[0] * factor, *severity[1:])


def moved_lines(severity: Severity, factor: float) -> Severity:
    """The shift and the share of the lines times the factor, the share at most 1."""
    shift, share, level = severity
    return shift * factor, min(share * factor, 1.0), level


def ghosts(severity: Severity, factor: float) -> Severity:
    """The intensity times the factor, and their number, a whole number from 1."""
    intensity, number, level = severity
    return intensity * factor, float(max(1, int(number * factor))), level


def bubbles(severity: Severity, factor: float) -> Severity:
    """The numbers of bubbles, from 1, and of cracks, from 0, times the factor."""
    number, cracks, level = severity
    return float(max(1, int(number * factor))), float(int(cracks * factor)), level

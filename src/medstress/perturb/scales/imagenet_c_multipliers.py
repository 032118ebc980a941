"""How a level's multiplier changes the types of ImageNet-C whose parameters do not all grow with severity.

As in `medstress.perturb.scales.multipliers`, above 1 always means stronger.
"""

import math

from medstress.perturb.scales.protocol import Severity


def amplitude(severity: Severity, factor: float) -> Severity:
    """The first parameter times the factor; the others describe a shape."""
    return (severity[0] * factor, *severity[1:])


def contrast(severity: Severity, factor: float) -> Severity:
    """A factor below 1 about the mean: its distance from 1 times the factor, at least 0."""
    return (max(0.0, 1 - (1 - severity[0]) * factor),)


def glass(severity: Severity, factor: float) -> Severity:
    """Sigma and the largest shift times the factor, the shift a whole number from 1; as many passes."""
    sigma, shift, passes = severity
    return sigma * factor, float(max(1, round(shift * factor))), passes


def snow(severity: Severity, factor: float) -> Severity:
    """The mean of the flakes' noise, so their number, and the share of the paled scene times the factor."""
    mean, *shape, mix = severity
    return (mean * factor, *shape, max(0.0, 1 - (1 - mix) * factor))


def frost(severity: Severity, factor: float) -> Severity:
    """What is taken from the image and what is added of the frost times the factor."""
    image, ice = severity
    return max(0.0, 1 - (1 - image) * factor), ice * factor


def drops(severity: Severity, factor: float) -> Severity:
    """The threshold goes down by factor - 1 standard deviations of the smoothed noise: more of the lens is covered."""
    mean, deviation, sigma, threshold, *look = severity
    smoothed = deviation / (2 * math.sqrt(math.pi) * sigma)
    return (mean, deviation, sigma, threshold - (factor - 1) * smoothed, *look)


def saturation(severity: Severity, factor: float) -> Severity:
    """The distance of the gain from 1, and the offset, times the factor; the gain is at least 0."""
    gain, offset = severity
    return max(0.0, 1 + (gain - 1) * factor), offset * factor


def elastic(severity: Severity, factor: float) -> Severity:
    """Alpha and the affine moves times the factor; the smoothing stays."""
    alpha, sigma, moves = severity
    return alpha * factor, sigma, moves * factor

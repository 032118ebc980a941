"""How a level's multiplier changes the parameters of a published type: above 1 always means stronger.

`elementwise` in `medstress.perturb.scales.protocol` is for parameters that grow with severity, such as a noise's
standard deviation; these are for the others.
"""

import math

from medstress.perturb.scales.protocol import Severity


def quality(severity: Severity, factor: float) -> Severity:
    """JPEG quality: its distance from 100 times the factor, within 1..100."""
    return tuple(min(max(100 - (100 - value) * factor, 1), 100) for value in severity)


def scale(severity: Severity, factor: float) -> Severity:
    """A scale below 1, such as that of pixelation: its distance from 1 times the factor, within .1..1."""
    return tuple(min(max(1 - (1 - value) * factor, 0.1), 1) for value in severity)


def counts(severity: Severity, factor: float) -> Severity:
    """Whole numbers: times the factor, cut to a whole number, at least 1."""
    return tuple(float(max(1, int(value * factor))) for value in severity)


def first_count(severity: Severity, factor: float) -> Severity:
    """A number of things and parameters of each thing: only the number is multiplied."""
    return (*counts(severity[:1], factor), *severity[1:])


def gain(severity: Severity, factor: float) -> Severity:
    """A gain or exponent that does nothing at 1: its distance from 1 times the factor, at least 0."""
    return tuple(max(0, 1 + (value - 1) * factor) for value in severity)


def inverse(severity: Severity, factor: float) -> Severity:
    """Parameters that fall with severity, such as a photon count: divided by the factor."""
    return tuple(value / factor for value in severity)


def share(severity: Severity, factor: float) -> Severity:
    """A share of the pixels: times the factor, at most 1."""
    return tuple(min(value * factor, 1) for value in severity)


def zoom(severity: Severity, factor: float) -> Severity:
    """Zoom factors from 1, as (end, step): the distance from 1 and the step times the factor, so as many factors."""
    end, step = severity
    return 1 + (end - 1) * factor, step * factor


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

"""Finds the strengths at which one realisation reaches the five SSIM bands on one image."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from medstress.config import BANDS, Band
from medstress.perturb.protocol import Perturbation, Realisation
from medstress.perturb.ssim import StructuralSimilarity
from medstress.pixels import Image

Status = Literal["in_band", "unreachable", "table"]

# The search stops this close to a band's centre. Bands are .08 to .09 wide.
_TOLERANCE = 0.01
# A level gives up after this many renderings; a bracket that shrinks to a single step ends earlier.
_MOST_EVALUATIONS = 24
# Whole strengths at the strong end that are all tried before a level counts as unreachable.
_COARSE_END = 8
# Between strengths the SSIM follows a / (1 + b * s^k) closely for noise and nearly so for the rest, which is a straight
# line in these coordinates; k = 2 (noise) until two points tell better.
_FIRST_SLOPE = 2.0


@dataclass(frozen=True)
class Cell:
    """One image at one level: what is stored, and how it came out."""

    level: int
    strength: float
    ssim: float
    status: Status
    image: Image


@dataclass(frozen=True)
class _Point:
    strength: float
    ssim: float

    @property
    def x(self) -> float:
        return math.log(self.strength)

    @property
    def y(self) -> float:
        return _logit(self.ssim)


def _logit(ssim: float) -> float:
    inside = min(max(ssim, 1e-4), 1 - 1e-6)
    return math.log((1 - inside) / inside)


class _Search:
    """The evaluations of one realisation, shared between the levels."""

    def __init__(
        self,
        perturbation: Perturbation,
        realisation: Realisation,
        clean: Image,
        levels: Sequence[int],
        bands: Mapping[int, Band],
    ) -> None:
        self._perturbation, self._realisation = perturbation, realisation
        self._similarity = StructuralSimilarity(clean)
        self._points: list[_Point] = []
        self._best: dict[int, tuple[float, _Point, Image]] = {}
        self._bands = {level: bands[level] for level in levels}
        self._centres = {level: sum(band) / 2 for level, band in self._bands.items()}

    def _evaluate(self, strength: float) -> _Point:
        image = self._realisation.render(strength)
        point = _Point(strength, self._similarity(image))
        self._points = sorted([*self._points, point], key=lambda item: item.strength)
        for level, centre in self._centres.items():
            distance = abs(point.ssim - centre)
            if level not in self._best or distance < self._best[level][0]:
                self._best[level] = (distance, point, image)
        return point

    def _bracket(self, target: float) -> tuple[_Point | None, _Point | None]:
        """The first neighbours between which the SSIM falls through the target, seen from the mild end."""
        milder = None
        for point in self._points:
            if point.ssim <= target:
                return milder, point
            milder = point
        return milder, None

    def _next(self, target: float, milder: _Point | None, stronger: _Point | None, halve: bool) -> float | None:
        """The strength to try next; None where no strength is left between the neighbours."""
        kind = self._perturbation
        low = milder.strength if milder else kind.mildest
        high = stronger.strength if stronger else kind.strongest
        if milder and stronger and not halve:
            share = (_logit(target) - milder.y) / (stronger.y - milder.y)
            guess = math.exp(milder.x + share * (stronger.x - milder.x))
        elif milder and stronger:
            guess = math.sqrt(low * high)
        elif known := milder or stronger:
            guess = math.exp(known.x + (_logit(target) - known.y) / self._slope())
            # Outside what is known the line is a guess: go far enough to make progress, and not too far.
            factor = 4.0 if halve else 2.0
            guess = min(max(guess, known.strength / factor), known.strength * factor)
            if halve:
                guess = known.strength * factor if known is milder else known.strength / factor
        else:
            guess = kind.typical
        strength = kind.round(guess)
        taken = {point.strength for point in self._points}
        if strength not in taken:
            return strength
        # Rounded onto a neighbour: try the middle, then the ends of the range.
        for other in (kind.round(math.sqrt(low * high)), kind.round(low), kind.round(high)):
            if other not in taken and low <= other <= high:
                return other
        return None

    def _slope(self) -> float:
        first, last = self._points[0], self._points[-1]
        if first.strength < last.strength and first.y < last.y:
            return max((last.y - first.y) / (last.x - first.x), 0.25)
        return _FIRST_SLOPE

    def _reached(self, level: int) -> bool:
        low, high = self._bands[level]
        return low <= self._best[level][1].ssim <= high

    def _try_coarse_end(self) -> None:
        """Evaluate the strongest whole strengths: there the SSIM of JPEG goes up and down from step to step."""
        strongest, taken = int(self._perturbation.strongest), {point.strength for point in self._points}
        for strength in range(strongest - _COARSE_END, strongest):
            if strength not in taken:
                self._evaluate(float(strength))

    def solve(self, level: int) -> Cell:
        """Evaluate until the level's band is met near its centre or no strength is left to try."""
        target = self._centres[level]
        for attempt in range(_MOST_EVALUATIONS):
            if level in self._best and self._best[level][0] <= _TOLERANCE:
                break
            strength = self._next(target, *self._bracket(target), halve=attempt % 3 == 2)
            if strength is None:
                break
            self._evaluate(strength)
        if self._perturbation.whole and not self._reached(level):
            self._try_coarse_end()
        _, point, image = self._best[level]
        status: Status = "in_band" if self._reached(level) else "unreachable"
        return Cell(level, point.strength, point.ssim, status, image)


def calibrate(
    perturbation: Perturbation,
    realisation: Realisation,
    clean: Image,
    levels: Sequence[int],
    bands: Mapping[int, Band] = BANDS,
) -> list[Cell]:
    """One cell per level, in the order given; a level's cell does not depend on which others are asked for.

    The strength of each is found by a bracketing search on the realisation and aims at the band's centre. A level that
    no strength reaches is `unreachable` and holds the closest image: the strength stands at its limit, or the SSIM
    jumps over the band.
    """
    # Milder levels are solved first, asked for or not: what they evaluate is where a level's own search begins.
    solved = [level for level in sorted(bands) if level <= max(levels)]
    search = _Search(perturbation, realisation, clean, solved, bands)
    cells = {level: search.solve(level) for level in solved}
    return [cells[level] for level in levels]


def displace(
    perturbation: Perturbation,
    realisation: Realisation,
    clean: Image,
    levels: Sequence[int],
    multipliers: Mapping[int, float] | None = None,
) -> list[Cell]:
    """One cell per level at the strengths of the perturbation's table, times the level's multiplier.

    The SSIM is recorded, not aimed at.
    """
    assert perturbation.table is not None
    similarity = StructuralSimilarity(clean)
    cells = []
    for level in levels:
        strength = perturbation.round(perturbation.table[level - 1] * (multipliers or {}).get(level, 1.0))
        image = realisation.render(strength)
        cells.append(Cell(level, strength, similarity(image), "table", image))
    return cells

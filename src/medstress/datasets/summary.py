"""What came of preparing a data set, for the log and for tests."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from medstress.datasets.candidate import Reject
from medstress.datasets.masks import JPEG_THRESHOLD
from medstress.datasets.sample import Sample
from medstress.datasets.splits import SPLITS
from medstress.errors import MedstressError
from medstress.names import Split


@dataclass
class SplitCount:
    """What went into one split."""

    images: int = 0
    objects: int = 0
    groups: set[str] = field(default_factory=set)


@dataclass
class Summary:
    """Counts that grow while samples are read. `problems` spoil the data set as a whole: its groups and splits."""

    dataset: str
    unit: str
    problems: tuple[str, ...] = ()
    splits: dict[Split, SplitCount] = field(default_factory=lambda: {split: SplitCount() for split in SPLITS})
    thresholded: list[Path] = field(default_factory=list)
    too_small: int = 0
    images_too_small: int = 0
    empty_slices: int = 0
    empty_images: int = 0
    notes: list[str] = field(default_factory=list)
    _rejects: dict[Reject, None] = field(default_factory=dict)
    _slices: dict[Path, list[bool]] = field(default_factory=dict)

    @property
    def rejects(self) -> list[Reject]:
        """Bad samples, sorted. A file that spoils several samples is listed once."""
        return sorted(self._rejects, key=lambda item: (item.file, item.reason))

    def reject(self, reject: Reject) -> None:
        """Note a bad sample."""
        self._rejects[reject] = None

    def saw(self, sample: Sample) -> None:
        """Note what reading a sample showed. A volume is a bad sample if none of its slices has an object."""
        self.thresholded.extend(sample.thresholded)
        self.notes.extend(sample.notes)
        self.too_small += sample.too_small
        self.images_too_small += sample.marked and not sample.objects
        candidate = sample.candidate
        if candidate.layers > 1:
            self.empty_slices += not sample.marked
            marked = self._slices.setdefault(candidate.image, [])
            marked.append(sample.marked)
            if len(marked) == candidate.layers and not any(marked):
                self.reject(Reject(str(candidate.masks[0]), "empty mask."))

    def took(self, split: Split, group: str, objects: int) -> None:
        """Note that an image went into the records."""
        count = self.splits[split]
        count.images += 1
        count.objects += objects
        count.groups.add(group)

    def rejected(self) -> list[str]:
        """One line for each bad sample."""
        return [f"  {reject}" for reject in self.rejects]

    def lines(self) -> Iterator[str]:
        """The summary for people."""
        for split, count in self.splits.items():
            groups = f"{len(count.groups)} groups (unit: {self.unit})"
            yield f"{self.dataset} {split}: {count.images} images, {count.objects} objects, {groups}"
        if self.thresholded:
            first = f"the first is {self.thresholded[0]}"
            yield f"JPEG masks thresholded at {JPEG_THRESHOLD}: {len(self.thresholded)}; {first}"
        counts = {
            "objects left out, below labels.min_pixels": self.too_small,
            "images left out, with only such objects": self.images_too_small,
            "slices of volumes left out, with no object": self.empty_slices,
            "images left out, with no object": self.empty_images,
        }
        yield from (f"{text}: {count}" for text, count in counts.items() if count)
        yield from self.notes
        if self._rejects:
            yield f"rejected samples: {len(self._rejects)}"
            yield from self.rejected()


def raise_if_bad(summary: Summary, tolerated: int, *, finished: bool = True) -> None:
    """Raise MedstressError with all that spoils a data set: problems, too many rejects, or, at the end, no image."""
    problems = list(summary.problems)
    if len(summary.rejects) > tolerated:
        count = len(summary.rejects)
        problems.append(
            f"{count} bad sample{'s' if count > 1 else ''}, {tolerated} tolerated. Correct the files, or "
            "leave them out with `tolerate_rejects` in the card."
        )
    if problems or (finished and not any(count.images for count in summary.splits.values())):
        headline = problems or ["no image is left."]
        raise MedstressError("\n".join([*(f"{summary.dataset}: {line}" for line in headline), *summary.rejected()]))

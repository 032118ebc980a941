"""The two records of a data set: both appear, or neither."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medstress.records import ImageRow, RecordWriter, SampleRow, record_writer


@contextmanager
def staged_records(images: Path, samples: Path) -> Iterator[tuple[RecordWriter[ImageRow], RecordWriter[SampleRow]]]:
    """Writers of both records; the files take their places when the block ends well."""
    # Fixed names, so that what a killed run left there is overwritten by the next one.
    staged = [path.with_name(f".{path.name}.staged") for path in (images, samples)]
    try:
        with record_writer(staged[0], ImageRow) as image_rows, record_writer(staged[1], SampleRow) as sample_rows:
            yield image_rows, sample_rows
        for path, target in zip(staged, (images, samples), strict=True):
            path.replace(target)
    finally:
        for path in staged:
            path.unlink(missing_ok=True)

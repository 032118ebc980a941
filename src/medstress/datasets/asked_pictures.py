"""The images that questions are about, read one after the other: files, or pictures inside Parquet files."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from medstress.cards.generation import GenerationCard
from medstress.datasets.candidate import BadSampleError, Candidate
from medstress.datasets.formats import picture_of, read_picture
from medstress.datasets.picture import Picture
from medstress.datasets.resize import Frame, resize_image
from medstress.datasets.sample import shown
from medstress.pixels import Image


def read_asked(
    candidates: Sequence[Candidate], card: GenerationCard
) -> Iterator[tuple[Candidate, tuple[Image, Frame] | BadSampleError]]:
    """Each candidate with its image at its final size and what became of its size, or why it cannot be used."""
    for (path, column), run in groupby(candidates, key=lambda item: (item.image, item.array)):
        members = list(run)
        pictures = _in_table(path, column, members) if column else map(_in_file, members)
        for candidate, picture in zip(members, pictures, strict=True):
            try:
                if isinstance(picture, BadSampleError):
                    raise picture
                image, frame = shown(picture, candidate.where, card)
            except BadSampleError as error:
                yield candidate, error
            else:
                yield candidate, (resize_image(image, frame, card.background), frame)


def _in_file(candidate: Candidate) -> Picture | BadSampleError:
    try:
        return read_picture(candidate.image)
    except BadSampleError as error:
        return error


def _in_table(path: Path, column: str, candidates: Sequence[Candidate]) -> Iterator[Picture | BadSampleError]:
    """Pictures of a Parquet file; one row group is in memory at a time, and is kept while the next picture is in it."""
    opened = pq.ParquetFile(path)
    counts = [opened.metadata.row_group(index).num_rows for index in range(opened.num_row_groups)]
    ends, held, values = list(accumulate(counts)), -1, pa.chunked_array([], pa.null())
    for candidate in candidates:
        row = candidate.layer or 0
        group = bisect_right(ends, row)
        try:
            if group != held:
                held, values = group, opened.read_row_group(group, columns=[column]).column(column)
            cell = values[row - (ends[group] - counts[group])].as_py()
            data = cell.get("bytes") if isinstance(cell, dict) else cell
            if not data:
                raise BadSampleError(candidate.where, f"the column {column} holds no image.")
            yield picture_of(data, candidate.where)
        except BadSampleError as error:
            yield error
        except (pa.ArrowInvalid, OSError) as error:
            held = -1
            yield BadSampleError(
                candidate.where, f"cannot be read ({str(error).splitlines()[0]}). Copy the file again."
            )

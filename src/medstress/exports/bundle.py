"""A bundle: what tables are made of, in one ZIP file, without images, weights or answers' masks.

Members are `manifest.json`, `tables.json` (what tables need to know of the study), `study/` (the study and its cards,
for people), `records/` (what tables read, under the names that it has below results/{study}) and `provenance/`.
The bytes of a bundle depend on its content alone.
"""

import hashlib
import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

import medstress
from medstress.errors import MedstressError
from medstress.records import CLEAN, PerturbedRow, PredictionRow, Row, atomic_path, read_tables
from medstress.rows import PERTURBED, PREDICTIONS
from medstress.table_spec import TableSpec

FORMAT = "medstress bundle 1"
_MANIFEST, _SPEC = "manifest.json", "tables.json"
_WHOLE = {"scores": "scores/*/*.parquet", "training": "checkpoints/*/training.json", "judged": "judged/*/*/*.parquet"}
_PERTURBED, _PREDICTIONS, _RATINGS = "perturbed/*/*.parquet", "predictions/*/*.parquet", "ratings/*.csv"
KINDS = {**_WHOLE, "perturbed": _PERTURBED, "predictions": _PREDICTIONS, "ratings": _RATINGS}
"""Where records of each kind lie in a bundle, below records/."""
_NO_PIXELS = [name for name in PERTURBED.names if name not in ("image", "valid", "warp")]
_WORDS = ["sample_id", "object_id", "perturbation", "level", "status", "error", "text"]
_LONGEST, _LONGEST_MANIFEST = 16 * 2**30, 64 * 2**20
_MOST_INFLATED = 200
"""Times the size of the ZIP file. Parquet and JSON do not shrink by as much; a file that unpacks to more is a trap."""
_CHUNK = 2**20


@dataclass(frozen=True)
class Bundle:
    """An unpacked bundle: its folder, and what tables need to know of the study in it."""

    folder: Path
    spec: TableSpec
    tables: tuple[str, ...]
    """The tables that were there when it was packed."""
    missing: tuple[str, ...]
    """Records of the study that were not there when it was packed, by their names below results/{study}."""

    def records(self, kind: str) -> list[str]:
        """Paths of the records of one kind, sorted; none of a kind that no bundle has, such as images."""
        return sorted(str(path) for path in (self.folder / "records").glob(KINDS[kind])) if kind in KINDS else []


def pack_bundle(
    results: Path,
    spec: TableSpec,
    texts: Mapping[str, Path],
    ratings: Sequence[Path],
    out: Path,
    missing: Sequence[str] = (),
) -> int:
    """Pack the records of results/{study} into the ZIP file `out`; the number of its files.

    `texts` are the study and its cards, by their names below study/. Perturbed records lose their pixels, and of
    answers the words about clean images are kept, where judges are compared with people. `missing` are the records
    that the study still lacks, which the manifest names. Raises MedstressError where there are no scores.
    """
    if not any(results.glob(_WHOLE["scores"])):
        raise MedstressError(f"{results / 'scores'}: no scores to pack. Run the study first.")
    with tempfile.TemporaryDirectory(dir=_made(out.parent), prefix=".bundle-") as made:
        members = {f"study/{name}": path for name, path in texts.items()}
        members |= {f"records/ratings/{path.name}": path for path in ratings}
        members |= dict(_records(results, Path(made), answers=bool(spec.judges)))
        members |= {
            f"provenance/{path.relative_to(results).as_posix()}": path
            for path in results.rglob("*.provenance.json")
            if "journal" not in path.relative_to(results).parts
        }
        described = Path(made) / _SPEC
        described.write_text(spec.model_dump_json(indent=1) + "\n", encoding="utf-8")
        members[_SPEC] = described
        tables = sorted(path.stem for path in results.glob("tables/*.csv"))
        _write(out, {"study": spec.study, "tables": tables, "missing": sorted(missing)}, members)
    return len(members) + 1


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _records(results: Path, scratch: Path, *, answers: bool) -> Iterator[tuple[str, Path]]:
    for pattern in _WHOLE.values():
        for path in results.glob(pattern):
            yield f"records/{path.relative_to(results).as_posix()}", path
    stripped: list[tuple[str, type[Row], pa.Schema, list[str]]] = [
        (_PERTURBED, PerturbedRow, PERTURBED, _NO_PIXELS),
    ]
    if answers:
        stripped.append((_PREDICTIONS, PredictionRow, PREDICTIONS, _WORDS))
    for pattern, kind, schema, kept in stripped:
        for path in results.glob(pattern):
            name = path.relative_to(results)
            _strip(path, scratch / name, kind, schema, kept)
            yield f"records/{name.as_posix()}", scratch / name


def _strip(path: Path, out: Path, kind: type[Row], schema: pa.Schema, kept: list[str]) -> None:
    """The record with the `kept` columns alone; the others are there, and empty."""
    table = read_tables([path], kind, kept)
    if kind is PredictionRow:
        table = table.filter(pc.and_(pc.equal(table["perturbation"], CLEAN), pc.is_valid(table["text"])))
    columns = [table[field.name] if field.name in kept else pa.nulls(table.num_rows, field.type) for field in schema]
    out.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), out, compression="zstd")


def _write(out: Path, said: Mapping[str, object], members: Mapping[str, Path]) -> None:
    files = {
        name: {"sha256": _sha256(members[name]), "bytes": members[name].stat().st_size} for name in sorted(members)
    }
    manifest = {"format": FORMAT, "medstress": medstress.__version__, **said, "files": files}
    with atomic_path(out) as staged, zipfile.ZipFile(staged, "w") as archive:
        archive.writestr(_member(_MANIFEST), json.dumps(manifest, indent=1) + "\n")
        for name in files:
            with members[name].open("rb") as source, archive.open(_member(name), "w", force_zip64=True) as sink:
                shutil.copyfileobj(source, sink, _CHUNK)


def _member(name: str) -> zipfile.ZipInfo:
    # The same time, rights and system everywhere, so that the same content is the same bytes.
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
    return info


def _sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def unpack_bundle(source: Path, results: Path) -> Bundle:
    """Unpack a bundle to {results}/{study}/bundle/{digest}, where it is used as it is when it is there already.

    Every file is checked against the manifest first. Raises MedstressError, with the reason, where the file is no
    bundle, is damaged, holds anything besides what its manifest names, or another version made it.
    """
    if not source.is_file():
        raise MedstressError(f"{source}: no such bundle. `medstress bundle results/STUDY {source}` makes one.")
    digest = _sha256(source)[:16]
    try:
        with zipfile.ZipFile(source) as archive:
            files, tables, missing = _manifest_of(source, archive)
            spec = TableSpec.model_validate_json(_checked(source, archive, _SPEC, files[_SPEC]))
            folder = results / _study_of(source, spec) / "bundle" / digest
            if not folder.is_dir():
                _unpack_all(source, archive, files, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        raise MedstressError(f"{source}: damaged, or not a ZIP file ({error}). Get the bundle again.") from None
    except ValidationError as error:
        text = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3])
        raise MedstressError(
            f"{source}: {_SPEC} is not what this version of medstress reads ({text}). "
            "Use the version that the bundle's manifest.json names."
        ) from None
    return Bundle(folder, spec, tables, missing)


def _study_of(source: Path, spec: TableSpec) -> str:
    # The name becomes a folder.
    if PurePosixPath(spec.study).name != spec.study or spec.study in ("", ".", ".."):
        raise MedstressError(f"{source}: the study is called {spec.study!r}, which no folder can be. Do not use it.")
    return spec.study


_Manifest = tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]


def _manifest_of(source: Path, archive: zipfile.ZipFile) -> _Manifest:
    """The digest of each file, the tables and what was missing. Raises MedstressError with all that is wrong."""
    infos = archive.infolist()
    names = [info.filename for info in infos]
    if _MANIFEST not in names:
        raise MedstressError(f"{source}: no {_MANIFEST} in it, so it is no bundle. `medstress bundle` makes them.")
    _check_sizes(source, infos)
    try:
        manifest = json.loads(archive.read(_MANIFEST))
        form, files = manifest["format"], {str(name): str(one["sha256"]) for name, one in manifest["files"].items()}
        tables, missing = (tuple(str(name) for name in manifest.get(kind, ())) for kind in ("tables", "missing"))
        sizes = {str(name): int(one["bytes"]) for name, one in manifest["files"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise MedstressError(f"{source}: {_MANIFEST} cannot be read ({type(error).__name__}: {error}).") from None
    if form != FORMAT:
        raise MedstressError(
            f"{source}: its format is {form!r}, and medstress {medstress.__version__} reads {FORMAT!r}. "
            f"It was made by medstress {manifest.get('medstress')}: use that version."
        )
    problems = [f"{name}: leads out of its folder" for name in {*names, *files} if not _stays_inside(name)]
    problems += [f"{name}: twice in it" for name in sorted(set(names)) if names.count(name) > 1]
    problems += [f"{name}: missing" for name in sorted({_SPEC, *files} - set(names))]
    problems += [f"{name}: not in the manifest" for name in sorted(set(names) - set(files) - {_MANIFEST})]
    folders = {parent.as_posix() for name in files for parent in PurePosixPath(name).parents}
    problems += [f"{name}: a file and a folder" for name in sorted(folders & set(files))]
    problems += [
        f"{info.filename}: {info.file_size} bytes, and the manifest says {sizes[info.filename]}"
        for info in infos
        if sizes.get(info.filename, info.file_size) != info.file_size
    ]
    if problems:
        raise MedstressError("\n".join([f"{source}: not a bundle to trust:", *sorted(problems)]))
    return files, tables, missing


def _check_sizes(source: Path, infos: Sequence[zipfile.ZipInfo]) -> None:
    """Before anything is unpacked. What a member unpacks to is never more than what it says here."""
    total = sum(info.file_size for info in infos)
    most = min(_LONGEST, _MOST_INFLATED * source.stat().st_size)
    if total > most or any(info.file_size > _LONGEST_MANIFEST for info in infos if info.filename == _MANIFEST):
        raise MedstressError(
            f"{source}: would unpack to {total} bytes, which no bundle of its size does. Do not use it."
        )
    for info in infos:
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise MedstressError(f"{source}: {info.filename} is encrypted or packed in a way that bundles are not.")


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name)
    plain = not path.is_absolute() and ".." not in path.parts and "\\" not in name and ":" not in name
    return plain and path.as_posix() == name and bool(path.parts)


def _checked(source: Path, archive: zipfile.ZipFile, name: str, expected: str) -> bytes:
    content = archive.read(name)
    if hashlib.sha256(content).hexdigest() != expected:
        raise MedstressError(f"{source}: {name} is not what was packed: its SHA-256 differs. Get the bundle again.")
    return content


def _unpack_all(source: Path, archive: zipfile.ZipFile, files: Mapping[str, str], folder: Path) -> None:
    # Beside its place, then renamed: what is there is whole.
    staged = Path(tempfile.mkdtemp(dir=_made(folder.parent), prefix=".unpacking-"))
    try:
        for name, expected in files.items():
            path = staged / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_checked(source, archive, name, expected))
        staged.chmod(0o755)
        try:
            staged.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(staged, ignore_errors=True)

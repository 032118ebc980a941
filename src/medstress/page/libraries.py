"""The libraries of the page, taken out of installed packages, so that the page needs no network and has no copies here.

Vega, Vega-Lite and Vega-Embed (BSD 3-clause) come with vl-convert-python (BSD 3-clause); DataTables (MIT) with jQuery
(MIT) and JSZip (MIT) with itables (MIT). Their licences are written beside them.
"""

import re
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path

from medstress.errors import MedstressError
from medstress.records import atomic_path

_EXPORT = re.compile(r"export\s*\{([^}]*)\}\s*;?")
_SOURCE_MAP = re.compile(r"^//# sourceMappingURL=.*$", re.MULTILINE)
# vl-convert's own licence has the conditions, and these are the holders of what it bundles.
_VEGA = """Vega: Copyright (c) 2013 Trifacta Inc., (c) 2015 University of Washington Interactive Data Lab.
Vega-Lite and Vega-Embed: Copyright (c) 2015 University of Washington Interactive Data Lab.
All rights reserved; BSD 3-clause licence, with the conditions and the disclaimer that follow.
"""
PACKAGES = ("vl-convert-python", "itables")


def write_libraries(folder: Path) -> dict[str, str]:
    """Write charts.js, tables.js, tables.css and LICENCES.txt into a folder; returns the packages' versions.

    Raises MedstressError where a package is missing or its bundle is not what this release knows.
    """
    try:
        versions = {name: distribution(name).version for name in PACKAGES}
        import vl_convert
    except (PackageNotFoundError, ImportError) as error:
        raise MedstressError(
            f"page: a package that comes with medstress is missing ({error}). Install medstress again."
        ) from None
    bundle = files("itables") / "html"
    texts = {
        "charts.js": _closed(vl_convert.javascript_bundle()),  # type: ignore[call-arg]
        "tables.js": _closed(_without_export((bundle / "dt_bundle.js").read_text(encoding="utf-8"))),
        "tables.css": _SOURCE_MAP.sub("", (bundle / "dt_bundle.css").read_text(encoding="utf-8")),
        "LICENCES.txt": "\n\n".join([_VEGA, *(_licences(name) for name in PACKAGES)]),
    }
    for name, text in texts.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return versions


def _closed(script: str) -> str:
    """A script whose names stay inside: two bundles may use the same."""
    return f"(function () {{\n{_SOURCE_MAP.sub('', script)}\n}})();\n"


def _without_export(module: str) -> str:
    """A module as a plain script that sets window.DataTable: browsers load no modules from disk."""
    found = _EXPORT.search(module)
    names = dict(part.split(" as ")[::-1] for part in found[1].split(",")) if found else {}
    names = {name.strip(): inner.strip() for name, inner in names.items()}
    if found is None or "default" not in names:
        raise MedstressError("page: this version of itables does not export DataTables. Install the pinned version.")
    return module[: found.start()] + f"window.DataTable = {names['default']};" + module[found.end() :]


def _licences(package: str) -> str:
    named = sorted(distribution(package).files or (), key=str)
    licences = [file for file in named if "license" in file.name.lower() and file.suffix in ("", ".txt", ".md")]
    texts = [Path(str(file.locate())).read_text(encoding="utf-8") for file in licences]
    return "\n\n".join([f"{package} {distribution(package).version}", *texts]) + "\n"

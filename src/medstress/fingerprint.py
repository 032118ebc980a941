"""A hash of the code a stage runs, so that Snakemake reruns what a change of code touches and nothing else.

Snakemake does not see changes in imported packages. Each rule therefore carries, as a parameter, the hash of the
syntax trees of the medstress modules that its stage imports, directly or through others. Docstrings, comments and
formatting do not count.
"""

import ast
import hashlib
import re
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parent
_PACKAGE = "medstress"
# What a stage takes from the configuration is among its parameters already, value by value.
_LEFT_OUT = re.compile(r"medstress\.(config|names|specs|cards(\..*)?)")


def _file_of(module: str) -> Path | None:
    relative = Path(*module.split(".")[1:])
    for candidate in (_ROOT / relative.with_suffix(".py"), _ROOT / relative / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _tree(module: str) -> ast.Module:
    path = _file_of(module)
    if path is None:
        raise ValueError(f"no module {module}")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:] or [ast.Pass()]
    return tree


@cache
def _dump(module: str) -> str:
    return ast.dump(_tree(module))


@cache
def _imports(module: str) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from package import name` may import the module package.name or a name that package defines.
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
            found.add(node.module)
    inside = {name for name in found if name.split(".")[0] == _PACKAGE and "." in name}
    return frozenset(name for name in inside if not _LEFT_OUT.fullmatch(name) and _file_of(name) is not None)


def modules_behind(*entries: str) -> list[str]:
    """The medstress modules that `entries` import, themselves included, sorted. Imports inside functions count."""
    seen: set[str] = set()
    waiting = list(entries)
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting.extend(_imports(module))
    return sorted(seen)


@cache
def fingerprint(*entries: str) -> str:
    """16 hexadecimal digits that change when the code behind the `entries` (dotted module names) changes."""
    digest = hashlib.sha256()
    for module in modules_behind(*entries):
        digest.update(f"{module}\n{_dump(module)}\n".encode())
    return digest.hexdigest()[:16]

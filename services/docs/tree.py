"""The drawn tree of docs/architecture.md: every room with its modules and what it is for, as its docstring says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOTS = ("libs/common", "libs/cli", "libs/gantry/testing", "services")


def drawn(root: Path) -> str:
    """The tree below `root`, the folder of the repository. Modules that a room holds follow its line."""
    lines: list[str] = []
    for name in ROOTS:
        for folder in _rooms(root / name):
            path = folder.relative_to(root)
            depth = len(path.parts) - len(Path(name).parts)
            indent = "    " * depth
            lines.append(f"{indent}{path if not depth else path.name}/    {_purpose(folder / '__init__.py')}")
            modules = sorted(file.stem for file in folder.glob("*.py") if file.stem != "__init__")
            if modules:
                lines.append(f"{indent}    {' '.join(modules)}")
    return "\n".join(["```text", *lines, "```"]) + "\n"


def _rooms(folder: Path) -> Iterator[Path]:
    yield folder
    for inner in sorted(folder.iterdir()):
        if (inner / "__init__.py").is_file() and not inner.is_symlink():
            yield from _rooms(inner)


def _purpose(init: Path) -> str:
    """The first sentence of a package's docstring."""
    text = ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or ""
    first = " ".join(text.split("\n\n")[0].split())
    return first.partition(". ")[0].rstrip(".")

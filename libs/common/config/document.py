"""A YAML file as plain values, with the line of each, so that an error can name it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from gantry.common.errors import ConfigError

Location = Sequence[str | int]


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A file that holds a mapping. `tree` retains comments and lines (ruamel's round-trip form)."""

    file: str
    tree: CommentedMap

    def line_of(self, location: Location) -> int | None:
        """The line (from 1) of the value at `location`, or of the nearest enclosing value in the file."""
        node: Any = self.tree
        line: int | None = None
        for step in location:
            try:
                if isinstance(node, CommentedMap) and step in node:
                    line = node.lc.key(step)[0] + 1
                elif isinstance(node, CommentedSeq) and isinstance(step, int) and step < len(node):
                    line = node.lc.item(step)[0] + 1
                else:
                    return line
                node = node[step]
            except (KeyError, TypeError, AttributeError):  # values that an edit added have no line yet
                return line
        return line

    def refuse(self, location: Location, reason: str) -> ConfigError:
        """The error for the value at `location`."""
        return ConfigError(self.file, self.line_of(location), reason)

    def explain(self, error: ValidationError, below: Location = ()) -> ConfigError:
        """The first of pydantic's errors, as text, with its line."""
        return self.refuse((*below, *_location_of(error)), reason_of(error, below))

    def text(self) -> str:
        """The document as YAML, with its comments and order."""
        stream = StringIO()
        _yaml().dump(self.tree, stream)
        return stream.getvalue()


def reason_of(error: ValidationError, below: Location = ()) -> str:
    """The first of pydantic's errors, as text: where, and what is wrong there."""
    first = error.errors(include_url=False, include_context=False)[0]
    name = ".".join(str(step) for step in (*below, *first["loc"]))
    reason = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
    return f"{name}: {reason}" if name else reason


def _location_of(error: ValidationError) -> Location:
    return error.errors(include_url=False, include_context=False, include_input=False)[0]["loc"]


def parse(text: str, file: str) -> YamlDocument:
    """Read YAML. Raises `ConfigError` with the line if it is not valid, or not a mapping."""
    try:
        tree = _yaml().load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = (error.problem or error.context or "not YAML").split("\n")[0]
        raise ConfigError(file, mark.line + 1 if mark else None, reason) from error
    except (YAMLError, ValueError) as error:
        raise ConfigError(file, None, "not YAML") from error
    if tree is None:
        tree = CommentedMap()
    if not isinstance(tree, CommentedMap):
        raise ConfigError(file, 1, "a mapping of sections is expected")
    return YamlDocument(file, tree)


def read(path: Path) -> YamlDocument:
    """Read a YAML file. Raises `ConfigError` if it cannot be read."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise ConfigError(str(path), None, error.strerror or "cannot be read") from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), None, "not UTF-8") from error


def _yaml() -> YAML:
    yaml = YAML(typ="rt", pure=True)
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096
    return yaml

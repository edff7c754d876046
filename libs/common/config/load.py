"""Settings from a file, the environment and the command line, in this order; later ones take precedence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_origin

from pydantic import ValidationError

from gantry.common.config.document import YamlDocument, parse, read
from gantry.common.config.settings import Settings
from gantry.common.config.values import Section
from gantry.common.errors import ConfigError

_PREFIX = "GANTRY_"
PEERS = "peers"
"""The section of the AE policy, which may be in the same file (`gantry.common.config.policy`)."""


def load_settings(
    file: Path | None, environment: Mapping[str, str], overrides: Mapping[str, Any] | None = None
) -> Settings:
    """The settings. `environment` holds GANTRY_SECTION__FIELD (GANTRY_FIELD for those without a section); `overrides`
    holds dotted names ("dimse.port") from the command line, None if an option was not given. Raises `ConfigError`."""
    document = read(file) if file is not None else parse("", "(no file)")
    values = {name: value for name, value in plain(document.tree).items() if name != PEERS}
    # Each source is checked by itself, so that an error names the file and line, the variable or the option at fault.
    _check(values, document)
    assignments: list[_Given] = []
    for variable, text in sorted(environment.items()):
        path = _path_of(variable)
        if path is not None:
            value = plain(parse(f"value: {text}", variable).tree.get("value")) if text else ""
            if _is_list(path) and not isinstance(value, list):
                # Lists in an environment usually have no brackets, unlike YAML: a,b.
                value = [part.strip() for part in text.split(",") if part.strip()]
            assignments.append(_Given(path, value, f"environment variable {variable}"))
    _set(values, assignments)
    options = (overrides or {}).items()
    _set(values, [_Given(name.split("."), value, f"option for {name}") for name, value in options if value is not None])
    return Settings.model_validate(values)


def _check(values: Mapping[str, Any], document: YamlDocument) -> None:
    try:
        Settings.model_validate(values)
    except ValidationError as error:
        raise document.explain(error) from error


class _Given(NamedTuple):
    """One value from the environment or the command line."""

    path: list[str]
    value: Any
    source: str


def _set(values: dict[str, Any], assignments: Sequence[_Given]) -> None:
    """Add the values of a source. Refuses the first that makes the settings invalid, and names its source. All values
    are checked together, since a certificate is invalid without its key."""
    for path, value, source in assignments:
        within = values
        for step in path[:-1]:
            within = within.setdefault(step, {})
            if not isinstance(within, dict):
                raise ConfigError(source, None, f"{'.'.join(path)}: unknown setting")
        within[path[-1]] = value
    try:
        Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = [str(step) for step in first["loc"]]
        # An error of a whole section has the section as its location.
        path, _, source = next((g for g in assignments if _begins_alike(g.path, place)), assignments[-1])
        reason = "unknown setting" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise ConfigError(source, None, f"{'.'.join(path)}: {reason}") from error


def _begins_alike(path: Sequence[str], place: Sequence[str]) -> bool:
    return all(step == other for step, other in zip(path, place, strict=False))


def _path_of(variable: str) -> list[str] | None:
    """The path of the setting that an environment variable names; None if it is not a setting (GANTRY_FAILPOINTS,
    PATH)."""
    if not variable.startswith(_PREFIX):
        return None
    path = variable.removeprefix(_PREFIX).lower().split("__")
    if len(path) > 1:
        return path
    field = Settings.model_fields.get(path[0])
    is_section = field is not None and isinstance(field.default, Section)
    return path if field is not None and not is_section else None


def _is_list(path: Sequence[str]) -> bool:
    """Whether the setting at a path is a list of texts or numbers."""
    model: Any = Settings
    field = None
    for step in path:
        field = getattr(model, "model_fields", {}).get(step)
        if field is None:
            return False
        model = field.annotation
    return field is not None and get_origin(field.annotation) is tuple and field.default == ()


def plain(node: Any) -> Any:
    """ruamel's containers as plain Python ones."""
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(item) for item in node]
    return node

"""Parameters of a search for workitems (PS3.18 8.3.4, 11.9, pure).

?ProcedureStepState=SCHEDULED&ScheduledWorkitemCodeSequence.CodeValue=SEG&limit=50
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gantry.common.dicom.query.identifiers import MAX_DEPTH, Identifier
from gantry.common.dicom.query.queries import Extended
from gantry.common.dicom.query.worklists import is_known
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.errors import NotUnderstood
from gantry.common.ids import DEFAULT_PARTITION, is_uid
from gantry.common.web.errors import HttpProblem
from gantry.common.workitems.questions import WorkitemQuery, workitem_conditions
from gantry.common.workitems.subscriptions import filter_of

MOST = 1000
"""Most workitems in one answer."""
MORE = "There are additional results that can be requested."
_MOST_OFFSET = 100_000
_MOST_PARAMETERS = 100
_LONGEST = 1024
_HEX = re.compile(r"[0-9A-Fa-f]{8}")
_OTHERS = frozenset(("accept", "charset", "includefield"))
"""A workitem is always returned whole, so `includefield` adds nothing."""


@dataclass(frozen=True, slots=True)
class WorkitemSearch:
    """A search: the conditions for workitems, and which part of the matches is wanted."""

    query: WorkitemQuery
    limit: int = MOST
    offset: int = 0
    warnings: tuple[str, ...] = ()


class _Keys:
    """Keys of an identifier, or of an item in it, as they are added."""

    def __init__(self) -> None:
        self.values: dict[int, list[str]] = {}
        self._items: dict[int, _Keys] = {}

    def put(self, tags: list[int], values: list[str]) -> None:
        keys = self
        for tag in tags[:-1]:
            keys.values.setdefault(tag, [])
            keys = keys._items.setdefault(tag, _Keys())
        keys.values.setdefault(tags[-1], []).extend(values)

    def identifier(self) -> Identifier:
        return Identifier(self.values, items={tag: item.identifier() for tag, item in self._items.items()})


def workitem_search(parameters: Iterable[tuple[str, str]]) -> WorkitemSearch:
    """The search that a request asks for; unknown parameters are ignored, with a warning. Raises `HttpProblem` 400, and
    `IdentifierError` for values that cannot be matched."""
    keys, fuzzy = _Keys(), False
    search = WorkitemSearch(WorkitemQuery(DEFAULT_PARTITION))
    warnings: list[str] = []
    for count, (name, value) in enumerate(parameters):
        if count >= _MOST_PARAMETERS:
            raise HttpProblem(400, f"more than {_MOST_PARAMETERS} parameters")
        if len(value) > _LONGEST:
            raise HttpProblem(400, f"{name[:64]!a} is longer than {_LONGEST} characters")
        if name == "limit":
            search = replace(search, limit=min(_number(name, value), MOST))
        elif name == "offset":
            search = replace(search, offset=_number(name, value))
        elif name == "fuzzymatching":
            if value not in ("true", "false"):
                raise HttpProblem(400, "fuzzymatching is neither true nor false")
            fuzzy = value == "true"
        elif tags := _path(name):
            keys.put(tags, _split(tags[-1], value))
        elif name not in _OTHERS:
            shown = "".join([c if c.isalnum() and c.isascii() else "_" for c in name[:64]])
            warnings.append(f"{shown} is no parameter and no attribute, and was ignored.")
    if search.offset > _MOST_OFFSET:
        raise HttpProblem(400, f"offset is more than {_MOST_OFFSET}: ask for a state, or a range of dates")
    conditions = workitem_conditions(keys.identifier(), Extended(fuzzy_names=fuzzy))
    return replace(search, query=WorkitemQuery(DEFAULT_PARTITION, conditions), warnings=tuple(dict.fromkeys(warnings)))


def filter_in(parameters: Iterable[tuple[str, str]]) -> dict[int, list[object]]:
    """The keys of a filtered subscription (PS3.18 11.10.1.2): `filter=KEY=VALUE,KEY=VALUE`, or keys as in a search.
    Raises `HttpProblem` 400, and `IdentifierError` for values that cannot be matched."""
    keys = _Keys()
    for name, value in parameters:
        if len(value) > _LONGEST:
            raise HttpProblem(400, f"{name[:64]!a} is longer than {_LONGEST} characters")
        for key, _, text in (
            [part.partition("=") for part in value.split(",")] if name == "filter" else [(name, "", value)]
        ):
            tags = _path(key.strip())
            if len(tags) > 1:
                raise HttpProblem(400, "a filter has no sequences here")
            if tags:
                keys.put(tags, _split(tags[0], text))
            elif name == "filter":
                raise HttpProblem(400, f"filter: {key[:64]!a} is not an attribute")
    try:
        return filter_of(keys.identifier())
    except NotUnderstood as error:
        raise HttpProblem(400, str(error)) from error


def uid_in(parameters: Iterable[tuple[str, str]], names: Iterable[str]) -> str:
    """The UID that a request names as a bare query (?1.2.3, PS3.18 11.4.1.2, 11.6.1.2) or by one of some names; "" for
    none. Raises `HttpProblem` 400 for an invalid UID."""
    known = frozenset(names)
    for name, value in parameters:
        uid = value if name in known else name if not value and is_uid(name) else ""
        if uid:
            if not is_uid(uid):
                raise HttpProblem(400, f"{name[:64]!a} is not a uid")
            return uid
    return ""


def _path(name: str) -> list[int]:
    """The path of tags in a parameter's name (PS3.18 8.3.4.1); empty if it is not an attribute."""
    parts = name.split(".", MAX_DEPTH + 1)
    if len(parts) > MAX_DEPTH:
        raise HttpProblem(400, f"{name[:64]!a} goes too deep")
    tags = [int(part, 16) if _HEX.fullmatch(part) else int(TAGS.get(part, 0)) for part in parts]
    if not all(tags) or not all(is_known(tag) for tag in tags):
        return []
    if any(vr_of(tag) != b"SQ" for tag in tags[:-1]):
        raise HttpProblem(400, f"{name[:64]!a}: all but the last must be sequences")
    return tags


def _split(tag: int, value: str) -> list[str]:
    """Values are separated by backslashes; UIDs and codes, which have no commas, also by commas."""
    if vr_of(tag) in (b"UI", b"CS"):
        value = value.replace(",", "\\")
    return [part.strip() for part in value.split("\\")]


def _number(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise HttpProblem(400, f"{name} is no number")
    return int(value)

"""A QIDO-RS request becomes a query (PS3.18 8.3.4, 10.6.1). Pure.

The parameters become the keys of an identifier, from which the query is compiled as for C-FIND.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gantry.common.dicom.query.attributes import STANDARD, UNIQUE_KEYS, AttributeTable, Level, keyword_of
from gantry.common.dicom.query.identifiers import MAX_DEPTH, Identifier
from gantry.common.dicom.query.matching import Cursor, Query
from gantry.common.dicom.query.queries import Extended, Model, compile_query, is_creator, is_supported
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.tags import INSTANCE_AVAILABILITY, QUERY_RETRIEVE_LEVEL, RETRIEVE_URL
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.web.errors import HttpProblem
from gantry.common.web.routes import Match, Resource
from gantry.services.query.order_parameter import check_scope, order_of

MAX_LIMIT = 5000
"""Matches of one answer; the rest are reached by `offset` or, better, by `cursor`."""
MAX_OFFSET = 100_000
"""Matches that may be skipped: each costs as much as one that is returned."""
MAX_PARAMETERS = 1000

MORE = "There are additional results that can be requested."

_LEVELS = {
    Resource.SEARCH_STUDIES: Level.STUDY,
    Resource.SEARCH_SERIES: Level.SERIES,
    Resource.SEARCH_INSTANCES: Level.IMAGE,
}
_HEX = re.compile(r"[0-9A-Fa-f]{8}")
_ONE_TEXT = frozenset((b"LT", b"ST", b"UT"))
_OTHERS = frozenset(("accept", "charset", "orderby"))
_FLAGS = {
    "fuzzymatching": "fuzzy_names",
    "emptyvaluematching": "empty_values",
    "multiplevaluematching": "multiple_values",
}
_ALWAYS = Extended(relational=True, combined_date_time=True, timezone=True)
"""PS3.18 10.6.1: QIDO-RS is relational; the other two suit clients that send times with dates, or a time zone."""

# PS3.18 tables 10.6.3-3 to 10.6.3-5: what is returned without being requested.
_RETURNED = {
    Level.STUDY: """StudyDate StudyTime AccessionNumber ModalitiesInStudy ReferringPhysicianName PatientName PatientID
        PatientBirthDate PatientSex StudyInstanceUID StudyID StudyDescription NumberOfStudyRelatedSeries
        NumberOfStudyRelatedInstances""",
    Level.SERIES: """Modality SeriesDescription SeriesInstanceUID SeriesNumber NumberOfSeriesRelatedInstances
        PerformedProcedureStepStartDate PerformedProcedureStepStartTime""",
    Level.IMAGE: "SOPClassUID SOPInstanceUID InstanceNumber Rows Columns BitsAllocated NumberOfFrames",
}
RETURNED = {level: frozenset(TAGS[k] for k in words.split()) for level, words in _RETURNED.items()}


@dataclass(frozen=True, slots=True)
class QidoSearch:
    """A search: the query without a limit, the tags to return, and which part of the matches is wanted."""

    query: Query
    returned: tuple[int, ...]
    offset: int = 0
    limit: int = MAX_LIMIT
    after: Cursor = ()
    warnings: tuple[str, ...] = ()
    federated: bool = False
    """Other archives are asked, too."""


def search_of(match: Match, parameters: Sequence[tuple[str, str]], attributes: AttributeTable = STANDARD) -> QidoSearch:
    """The search that a request asks of an index with `attributes`. Raises `HttpProblem` 400 and `IdentifierError`."""
    if len(parameters) > MAX_PARAMETERS:
        raise HttpProblem(400, f"more than {MAX_PARAMETERS} parameters")
    level = _LEVELS[match.resource]
    keys = _Keys({QUERY_RETRIEVE_LEVEL: [level.value]})
    extended = _ALWAYS
    included: set[int] = set()
    search = QidoSearch(Query(DEFAULT_PARTITION, level), ())
    warnings: list[str] = []
    for name, value in parameters:
        if name == "includefield":
            included |= _included(value, level, attributes)
        elif name in _FLAGS:
            extended = replace(extended, **{_FLAGS[name]: _flag(name, value)})
        elif name == "federated":
            search = replace(search, federated=_flag(name, value))
        elif name == "limit":
            search = replace(search, limit=min(_number(name, value), MAX_LIMIT))
        elif name == "offset":
            search = replace(search, offset=_offset(value))
        elif name == "cursor":
            search = replace(search, after=place_of(value))
        elif not _is_attribute(name):
            # PS3.18 8.3.4: unknown parameters are ignored. Viewers and caches add parameters of their own.
            if name not in _OTHERS:
                warnings.append(f"{_shown(name)} is no parameter and no attribute, and was ignored.")
        else:
            tag = keys.put(name, value)
            if not is_supported(tag, level, attributes) and not is_creator(tag):
                warnings.append(f"{keyword_of(tag)} is not supported as a key here, and was ignored.")
    _put_path(keys.values, match)
    query = compile_query(keys.identifier(), Model.STUDY_ROOT, DEFAULT_PARTITION, extended, attributes)
    order = order_of([value for name, value in parameters if name == "orderby"], level, attributes)
    check_scope(order, level, query.conditions)
    if search.federated and (order or search.after):
        raise HttpProblem(400, "a federated search has neither orderby nor cursor: go on with offset")
    if search.federated and match.count:
        warnings.append("federated is not for counts, and was ignored.")
        search = replace(search, federated=False)
    wanted = {tag for tag in (*keys.values, *included) if is_supported(tag, level, attributes)}
    returned = wanted | _by_default(match, level)
    return replace(
        search,
        query=replace(query, order=order),
        returned=tuple(sorted(returned - {QUERY_RETRIEVE_LEVEL, RETRIEVE_URL})),
        warnings=tuple(dict.fromkeys(warnings)),
    )


class _Keys:
    """Keys of an identifier, or of an item in it, as they are added."""

    def __init__(self, values: dict[int, list[str]]) -> None:
        self.values = values
        self._items: dict[int, _Keys] = {}

    def put(self, name: str, value: str) -> int:
        """Add a value under the path in a parameter's name (PS3.18 8.3.4.1). Returns the first tag of the path."""
        problem = f"{name[:64]!a} is no parameter, and no attribute"
        parts = name.split(".", MAX_DEPTH + 1)
        if len(parts) > MAX_DEPTH:
            raise HttpProblem(400, f"{name[:64]!a} goes too deep")
        tags = [tag_of(part, problem) for part in parts]
        keys = self
        for tag in tags[:-1]:
            if vr_of(tag) != b"SQ":
                raise HttpProblem(400, f"{name[:64]!a}: {keyword_of(tag)} is no sequence")
            keys.values.setdefault(tag, [])
            keys = keys._items.setdefault(tag, _Keys({}))
        keys.values.setdefault(tags[-1], []).extend(_values(tags[-1], value))
        return tags[0]

    def identifier(self) -> Identifier:
        return Identifier(self.values, items={tag: item.identifier() for tag, item in self._items.items()})


def _is_attribute(name: str) -> bool:
    """Whether the name of a parameter is, or begins like, the path of an attribute."""
    first = name.partition(".")[0]
    return _HEX.fullmatch(first) is not None or first in TAGS


def _shown(name: str) -> str:
    """A client's parameter name, made safe for a header."""
    return "".join([c if c.isalnum() and c.isascii() else "_" for c in name[:64]])


def tag_of(name: str, problem: str) -> int:
    """The tag that a keyword or eight hexadecimal digits name; for a dotted path (PS3.18 8.3.4.1), the first one.
    Raises `HttpProblem` 400 with `problem`."""
    first = name.partition(".")[0]
    if _HEX.fullmatch(first):
        return int(first, 16)
    tag = TAGS.get(first)
    if tag is None:
        raise HttpProblem(400, problem)
    return int(tag)


def _values(tag: int, value: str) -> list[str]:
    """The values of a parameter, separated by backslashes; UIDs and codes, which have no commas, also by commas."""
    vr = vr_of(tag)
    if vr in _ONE_TEXT:
        return [value]
    if vr in (b"UI", b"CS"):
        value = value.replace(",", "\\")
    return [part.strip() for part in value.split("\\")]


def _put_path(keys: dict[int, list[str]], match: Match) -> None:
    """Add the UIDs of the path. Raises `HttpProblem` 400 if the parameters exclude them."""
    for level, uid in ((Level.STUDY, match.study), (Level.SERIES, match.series)):
        if uid:
            uids = [value for value in keys.get(UNIQUE_KEYS[level], []) if value]
            if uids and uid not in uids:
                raise HttpProblem(400, f"the {level.value.lower()} of the path is not among those of the parameters")
            keys[UNIQUE_KEYS[level]] = [uid]


def _included(value: str, level: Level, attributes: AttributeTable) -> set[int]:
    tags: set[int] = set()
    for name in value.split(","):
        if name.strip() == "all":
            tags |= {tag for tag in attributes.by_tag if is_supported(tag, level, attributes)}
        elif name.strip():
            tags.add(tag_of(name.strip(), f"includefield names {name.strip()[:64]!a}, which is not an attribute"))
    return tags


def _by_default(match: Match, level: Level) -> set[int]:
    """The default attributes of the level, and of levels above that the path does not name (table 10.6.3-1); the UIDs
    of levels above always."""
    tags = {INSTANCE_AVAILABILITY, *RETURNED[level]}
    for above in (Level.STUDY, Level.SERIES):
        if above.depth < level.depth:
            tags.add(UNIQUE_KEYS[above])
            if not (match.study if above is Level.STUDY else match.series):
                tags |= RETURNED[above]
    return tags


def _flag(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise HttpProblem(400, f"{name} is neither true nor false")
    return value.lower() == "true"


def _number(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise HttpProblem(400, f"{name} is no number")
    return int(value)


def _offset(value: str) -> int:
    offset = _number("offset", value)
    if offset > MAX_OFFSET:
        raise HttpProblem(400, f"offset is more than {MAX_OFFSET}: go on with the cursor of the answer before")
    return offset


def cursor_of(place: Cursor) -> str:
    """A place as text that fits in a URL."""
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")


def place_of(cursor: str) -> Cursor:
    """The place that a cursor stands for; "" is the beginning. Raises `HttpProblem` 400."""
    if not cursor:
        return ()
    try:
        value = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, list) or not value or not all(isinstance(v, str | int) for v in value):
        raise HttpProblem(400, "cursor is not valid")
    return tuple(value)

"""Repository Query (PS3.4 C.6.4): a C-FIND of the Study Root that can be continued after any record. Pure.

A Record Key is the position of a record in the listing. It is valid as long as the archive has an index, through
restarts and rebuilds, even if its record is gone meanwhile: the listing continues where it was.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from gantry.common.dicom.query.identifiers import Identifier
from gantry.common.dicom.query.matching import Cursor
from gantry.common.dicom.standard.tags import MAXIMUM_NUMBER_OF_RECORDS, PRIOR_RECORD_KEY, RECORD_KEY
from gantry.common.errors import IdentifierError
from gantry.common.statuses import DATA_SET_DOES_NOT_MATCH_SOP_CLASS, INVALID_PRIOR_RECORD_KEY

_OURS = frozenset((RECORD_KEY, PRIOR_RECORD_KEY, MAXIMUM_NUMBER_OF_RECORDS))
_LONGEST_KEY = 8192
_MOST_PARTS = 64


@dataclass(frozen=True, slots=True)
class RepositoryQuery:
    """A request: an `identifier` of the Study Root, records `after` a position, at most `most` of them (None for all),
    and whether they are to be `keyed`."""

    identifier: Identifier
    keyed: bool = False
    after: Cursor = ()
    most: int | None = None


def repository_query(identifier: Identifier) -> RepositoryQuery:
    """Raises `IdentifierError`: A710H for a Prior Record Key that is not one of ours, A900H for an invalid number."""
    keys = {tag: values for tag, values in identifier.keys.items() if tag not in _OURS}
    rest = Identifier(keys, identifier.character_set, identifier.items)
    prior = next(iter(identifier.keys.get(PRIOR_RECORD_KEY) or ()), "")
    return RepositoryQuery(rest, RECORD_KEY in identifier.keys, _place(prior) if prior else (), _most(identifier))


def record_key(place: Cursor) -> str:
    """The Record Key of the record at a position: ASCII, of even length."""
    return base64.b64encode(json.dumps(place, separators=(",", ":")).encode()).decode()


def invalid_record_key() -> IdentifierError:
    """The failure of a request to continue after anything but a record of this query."""
    return IdentifierError(
        INVALID_PRIOR_RECORD_KEY, "the prior record key is not one of this query", (PRIOR_RECORD_KEY,)
    )


def _place(key: str) -> Cursor:
    try:
        value = json.loads(base64.b64decode(key[:_LONGEST_KEY], validate=True))
    except (ValueError, RecursionError):
        raise invalid_record_key() from None
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_PARTS or not all(map(_is_part, value)):
        raise invalid_record_key()
    return tuple(value)


def _is_part(part: object) -> bool:
    """Text, or a number that any store can hold."""
    return type(part) is str or (type(part) is int and -(1 << 63) <= part < 1 << 63)


def _most(identifier: Identifier) -> int | None:
    text = next(iter(identifier.keys.get(MAXIMUM_NUMBER_OF_RECORDS) or ()), "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 20 or not int(text):
        words = "the maximum number of records is no number"
        raise IdentifierError(DATA_SET_DOES_NOT_MATCH_SOP_CLASS, words, (MAXIMUM_NUMBER_OF_RECORDS,))
    return int(text)

"""What a C-FIND response holds (pure): PS3.4 C.4.1.1.3.2."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from libs.common.dicom.attributes import (
    INSTANCE_AVAILABILITY,
    QUERY_RETRIEVE_LEVEL,
    RETRIEVE_AE_TITLE,
    SPECIFIC_CHARACTER_SET,
    UNIQUE_KEYS,
    Level,
)
from libs.common.dicom.identifiers import Identifier, encode_identifier
from libs.common.dicom.matching import Document
from libs.common.dicom.queries import is_supported

_ONLINE = ("ONLINE",)
_NONE: tuple[Any, ...] = ()
_ALWAYS = frozenset((QUERY_RETRIEVE_LEVEL, RETRIEVE_AE_TITLE, INSTANCE_AVAILABILITY, SPECIFIC_CHARACTER_SET))


def all_supported(identifier: Identifier, level: Level) -> bool:
    """Whether every key asked for can be matched and returned; otherwise pending responses are FF01H (C.4.1.1.4)."""
    return all(tag in _ALWAYS or is_supported(tag, level) for tag in identifier.keys)


def answerer(
    identifier: Identifier, level: Level, transfer_syntax_uid: str, ae_title: str
) -> Callable[[Document], bytes]:
    """A function from a match to the bytes of its response identifier: every key asked for, with its value or without,
    the unique key of the level, the level, and from where it can be retrieved."""
    fixed: Mapping[int, Sequence[Any]] = {
        QUERY_RETRIEVE_LEVEL: (level.value,),
        RETRIEVE_AE_TITLE: (ae_title,),
        INSTANCE_AVAILABILITY: _ONLINE,
    }
    wanted = sorted({*identifier.keys, *fixed, UNIQUE_KEYS[level]} - {SPECIFIC_CHARACTER_SET})
    if level is Level.PATIENT:
        # C.3.1.1: a patient as such is retrieved study by study.
        wanted = [tag for tag in wanted if tag != INSTANCE_AVAILABILITY or tag in identifier.keys]
    asked = identifier.character_set

    def answer(document: Document) -> bytes:
        attributes = document.attributes
        values = {tag: fixed.get(tag) or attributes.get(tag, _NONE) for tag in wanted}
        return encode_identifier(values, transfer_syntax_uid, asked)

    return answer

"""Documents become C-FIND response identifiers (PS3.4 C.4.1.1.3.2, pure)."""

from __future__ import annotations

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

ONLINE = "ONLINE"
"""PS3.3 C.4.23.1.1: everything Gantry knows can be had at once."""


class Answers:
    """Makes the answers to one request: for every document, the keys that were asked for.

    An optional key that is not supported is not returned (C.2.2.1.3), and `complete` is False: FF01H in place of
    FF00H. The unique keys of the level and of those above are always returned, since retrieving starts from them.
    """

    def __init__(self, identifier: Identifier, level: Level, transfer_syntax_uid: str, ae_title: str) -> None:
        asked = set(identifier.keys) - {SPECIFIC_CHARACTER_SET}
        self.complete = all(is_supported(tag, level) for tag in asked)
        self._transfer_syntax_uid = transfer_syntax_uid
        self._character_set = identifier.character_set
        self._constant: dict[int, list[Any]] = {
            QUERY_RETRIEVE_LEVEL: [level.value],
            RETRIEVE_AE_TITLE: [ae_title],
        }
        if INSTANCE_AVAILABILITY in asked:
            self._constant[INSTANCE_AVAILABILITY] = [ONLINE]
        unique = {tag for above, tag in UNIQUE_KEYS.items() if above.depth <= level.depth}
        supported = {tag for tag in asked if is_supported(tag, level)}
        self._from_document = tuple(sorted((supported | unique) - set(self._constant)))

    def encode(self, document: Document) -> bytes:
        """One response identifier; a key that the document has no value for is there without one."""
        attributes = document.attributes
        values = {tag: attributes.get(tag, ()) for tag in self._from_document}
        values.update(self._constant)
        return encode_identifier(values, self._transfer_syntax_uid, self._character_set)

"""Documents become C-FIND response identifiers (PS3.4 C.4.1.1.3.2, pure)."""

from __future__ import annotations

from typing import Any

from gantry.common.dicom.query.attributes import UNIQUE_KEYS
from gantry.common.dicom.query.identifiers import Identifier, encode_identifier
from gantry.common.dicom.query.item_answers import ItemAnswer
from gantry.common.dicom.query.matching import Document, Query
from gantry.common.dicom.query.queries import creators_of, is_creator, is_supported
from gantry.common.dicom.query.repository import record_key
from gantry.common.dicom.query.timezones import in_zone
from gantry.common.dicom.standard.tags import (
    INSTANCE_AVAILABILITY,
    QUERY_RETRIEVE_LEVEL,
    RECORD_KEY,
    RETRIEVE_AE_TITLE,
    SPECIFIC_CHARACTER_SET,
)


class Answers:
    """Makes the answers to one request: for every document, the requested keys.

    Unsupported optional keys are not returned (C.2.2.1.3), and `complete` is False: FF01H in place of FF00H. The unique
    keys of the level and of the levels above are always returned, since retrieval starts from them.
    """

    def __init__(
        self, identifier: Identifier, query: Query, transfer_syntax_uid: str, ae_title: str, *, keyed: bool = False
    ) -> None:
        """`query` is compiled from the identifier. With `keyed` each answer has its Record Key (PS3.4 C.6.4.5.2)."""
        self._keyed = keyed
        level = query.level
        self._attributes = query.attributes
        tags = {tag for tag in identifier.keys if tag != SPECIFIC_CHARACTER_SET and not is_creator(tag)}
        supported = {tag for tag in tags if is_supported(tag, level, query.attributes)}
        self.complete = supported == tags
        self._transfer_syntax_uid = transfer_syntax_uid
        self._character_set = identifier.character_set
        self._constant: dict[int, list[Any]] = {
            QUERY_RETRIEVE_LEVEL: [level.value],
            RETRIEVE_AE_TITLE: [ae_title],
        }
        self.tells_availability = INSTANCE_AVAILABILITY in tags
        """Whether Instance Availability is requested of `encode`."""
        unique = {tag for above, tag in UNIQUE_KEYS.items() if above.depth <= level.depth}
        self._from_document = tuple(sorted((supported | unique) - set(self._constant) - {INSTANCE_AVAILABILITY}))
        self._constant |= creators_of(self._from_document, query.attributes)
        self._zone = query.zone
        self._items = {tag: ItemAnswer(item, query.conditions.get(tag)) for tag, item in identifier.items.items()}

    def encode(self, document: Document, availability: str = "") -> bytes:
        """One response identifier; a key for which the document has no value is returned empty. `availability` is the
        Instance Availability of the document's objects."""
        attributes = in_zone(document.attributes, self._zone) if self._zone else document.attributes
        values = {tag: attributes.get(tag, ()) for tag in self._from_document}
        for tag, item in self._items.items():
            if tag in values:
                values[tag] = item.of(values[tag])
        values.update(self._constant)
        if RETRIEVE_AE_TITLE in attributes:
            values[RETRIEVE_AE_TITLE] = attributes[RETRIEVE_AE_TITLE]  # other archives have it, too
        if self._keyed:
            values[RECORD_KEY] = [record_key(document.place)]
        if self.tells_availability:
            elsewhere = attributes.get(INSTANCE_AVAILABILITY)
            values[INSTANCE_AVAILABILITY] = elsewhere or ([availability] if availability else [])
        return encode_identifier(values, self._transfer_syntax_uid, self._character_set, self._attributes)

"""Scheduled steps become response identifiers of the worklist (PS3.4 K.4.1.1.3.2, pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gantry.common.dicom.query.identifiers import Identifier, encode_identifier
from gantry.common.dicom.query.item_answers import ItemAnswer
from gantry.common.dicom.query.matching import Condition
from gantry.common.dicom.query.worklists import all_known, is_known
from gantry.common.dicom.standard.tags import SPECIFIC_CHARACTER_SET


class WorklistItem(Protocol):
    """A scheduled step, or a workitem."""

    @property
    def document(self) -> Mapping[int, list[Any]]:
        """Its attributes."""


class WorklistAnswers:
    """Makes the answers to one request: the requested keys, with a value or without. Keys that the dictionary does not
    have are not returned, and `complete` is False: FF01H in place of FF00H."""

    def __init__(self, identifier: Identifier, conditions: dict[int, Condition], transfer_syntax_uid: str) -> None:
        """`conditions` are those of the identifier."""
        self.complete = all_known(identifier)
        self._tags = [tag for tag in sorted(identifier.keys) if is_known(tag) and tag != SPECIFIC_CHARACTER_SET]
        self._items = {tag: ItemAnswer(item, conditions.get(tag)) for tag, item in identifier.items.items()}
        self._character_set = identifier.character_set
        self._transfer_syntax_uid = transfer_syntax_uid

    def encode(self, step: WorklistItem) -> bytes:
        """One response identifier, in the caller's character set if that can represent it, otherwise in UTF-8."""
        document = step.document
        values: dict[int, Sequence[Any]] = {tag: document.get(tag, ()) for tag in self._tags}
        for tag, item in self._items.items():
            if tag in values:
                values[tag] = item.of(values[tag])
        return encode_identifier(values, self._transfer_syntax_uid, self._character_set)

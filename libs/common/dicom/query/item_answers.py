"""The answer for a requested sequence (PS3.4 C.2.2.2.6, pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.identifiers import Identifier
from gantry.common.dicom.query.matching import Condition, Item, Predicate, Query, matcher
from gantry.common.dicom.standard.tags import SPECIFIC_CHARACTER_SET


class ItemAnswer:
    """The matching items of a sequence, with the requested attributes; whole items if none was named."""

    def __init__(self, identifier: Identifier, condition: Condition | None) -> None:
        below = condition.conditions if isinstance(condition, Item) else {}
        self._below = {tag: ItemAnswer(item, below.get(tag)) for tag, item in identifier.items.items()}
        self._tags = sorted(set(identifier.keys) - {SPECIFIC_CHARACTER_SET})
        self._matches: Predicate | None = None
        if isinstance(condition, Item):
            self._matches = matcher(Query("", Level.IMAGE, condition.conditions))

    def of(self, items: Sequence[Any]) -> list[dict[int, Any]]:
        """The items of the answer."""
        return [self._chosen(item) for item in items if self._matches is None or self._matches(item)]

    def _chosen(self, item: Mapping[int, Any]) -> dict[int, Any]:
        if not self._tags:
            return dict(item)
        values = {tag: item.get(tag, ()) for tag in self._tags}
        for tag, below in self._below.items():
            values[tag] = below.of(values[tag])
        return values

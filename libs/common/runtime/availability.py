"""Instance Availability (0008,0056) of matches: that of the object stores of their objects (PS3.3 C.4.23.1.1).

For a study or series it is that of its farthest instance. If everything is in one store, the index is not asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gantry.common.dicom.query.attributes import UNIQUE_KEYS, Level
from gantry.common.dicom.query.matching import Document
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.index import ReadIndex

ONLINE, NEARLINE, OFFLINE = "ONLINE", "NEARLINE", "OFFLINE"
_WORST = (OFFLINE, NEARLINE, ONLINE)
_KEYS = {
    level: tuple(UNIQUE_KEYS[above] for above in (Level.STUDY, Level.SERIES, Level.IMAGE) if above.depth <= level.depth)
    for level in Level
}


class Availability:
    """Asks the index."""

    def __init__(self, index: ReadIndex, stores: Mapping[str, str] | None = None) -> None:
        """`stores` are those beside the first one, by name, each with the availability of its objects."""
        self._index = index
        self._stores = {name: word.upper() for name, word in (stores or {}).items()}

    async def of(self, level: Level, documents: Sequence[Document]) -> list[str]:
        """One value for each document; "" for patients, for which the standard has none, if it may differ. Raises
        `DependencyUnavailable`."""
        if not self._stores or not documents:
            return [ONLINE] * len(documents)
        if level is Level.PATIENT:
            return [""] * len(documents)
        keys = [tuple(str(document.attributes[tag][0]) for tag in _KEYS[level]) for document in documents]
        return await self.of_keys(level, keys)

    async def of_keys(self, level: Level, keys: Sequence[tuple[str, ...]]) -> list[str]:
        """The same by UIDs, from the study's down to that of the level; not for patients. Raises
        `DependencyUnavailable`."""
        if not self._stores or not keys:
            return [ONLINE] * len(keys)
        stores = await self._index.stores_of(DEFAULT_PARTITION, level, keys, list(self._stores))
        return [self._worst(stores.get(key, frozenset())) for key in keys]

    def _worst(self, stores: frozenset[str]) -> str:
        words = {self._stores[name] for name in stores}
        return next((word for word in _WORST if word in words), ONLINE)

"""The records of an Inventory SOP Instance from any writer (PS3.3 C.38.1), one study at a time. Pure.

Memory is that of the largest study record, and bounded; everything else in the data set is skipped. A data set that
contradicts itself is refused: half an inventory that looks like a whole one is worse than none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from gantry.common.dicom.encoding.charsets import DEFAULT
from gantry.common.dicom.encoding.elements import elements, item_bounds, skip
from gantry.common.dicom.encoding.inflate import Inflater
from gantry.common.dicom.encoding.syntax import IMPLICIT, UNDEFINED, Syntax, read_element, syntax_of
from gantry.common.dicom.encoding.values import header_values, text_of
from gantry.common.dicom.encoding.writing import ElementWriter
from gantry.common.dicom.inventory.records import (
    InventoriedInstance,
    InventoriedSeries,
    InventoriedStudy,
    InventoryLevel,
    Values,
)
from gantry.common.dicom.standard import tags
from gantry.common.dicom.standard.transfer_syntaxes import (
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    Encoding,
    encoding_of,
)
from gantry.common.errors import NotUnderstood
from gantry.common.ids import is_uid

MAX_RECORD = 256 << 20
"""Most bytes of one study record, or of a value that must be read: some 1.5 million instances."""
MAX_INFLATED = 64 << 30
_STEP = 256 * 1024
_STUDIES, _PARTS = tags.INVENTORIED_STUDIES_SEQUENCE, tags.INCORPORATED_INVENTORY_INSTANCE_SEQUENCE
_INSTANCE = frozenset((tags.SOP_CLASS_UID, tags.SOP_INSTANCE_UID))
_HEAD = frozenset(
    (
        tags.SPECIFIC_CHARACTER_SET,
        tags.SOP_INSTANCE_UID,
        tags.INVENTORY_LEVEL,
        tags.INVENTORY_COMPLETION_STATUS,
        tags.NUMBER_OF_STUDY_RECORDS_IN_INSTANCE,
        tags.SCOPE_OF_INVENTORY_SEQUENCE,
        _PARTS,
    )
)


class InventoryReader:
    """A data set that comes in `chunks`; `wanted` are the attributes of studies and series to read.

    `level`, `parts` (SOP Instance UIDs of inventories that are part of this one), `limited`
    (whether it covers only some studies) are known with the first study, `completion` after the last one.
    """

    def __init__(
        self,
        chunks: Iterator[bytes],
        transfer_syntax_uid: str,
        wanted: Collection[int],
        *,
        max_record: int = MAX_RECORD,
    ) -> None:
        encoding = encoding_of(transfer_syntax_uid)
        self._chunks = _inflated(chunks) if encoding.deflated else chunks
        self._uid = EXPLICIT_LITTLE_ENDIAN if encoding.deflated else transfer_syntax_uid
        self._syntax = syntax_of(encoding)
        self._record = _Records(frozenset(wanted))
        self._max = max_record
        self._data = bytearray()
        self._ended = False
        self._head: dict[int, bytes] = {}
        self.level = InventoryLevel.INSTANCE
        self.parts: list[str] = []
        self.limited = False
        self.completion = ""

    def studies(self) -> Iterator[InventoriedStudy]:
        """The study records. Raises `NotUnderstood` as soon as something is wrong, at the latest after the last one."""
        count, begun = 0, False
        while (element := self._next()) is not None:
            tag, vr, length = element
            if tag >= _STUDIES and not begun:
                begun = True
                self._begin()
            if tag == _STUDIES:
                inner = (IMPLICIT_LITTLE_ENDIAN, IMPLICIT) if vr == b"UN" else (self._uid, self._syntax)
                for item in self._items(length, inner[1]):
                    count += 1
                    yield self._record.study(item, inner[0], self.level)
            elif tag in _HEAD:
                self._head[tag] = self._value(vr, length)
            else:
                self._pass(vr, length)
        if not begun:
            self._begin()
        self._finish(count)

    def _begin(self) -> None:
        values = self._values()
        level = text_of(next(iter(values.get(tags.INVENTORY_LEVEL, ())), ""))
        if level not in [known_level.value for known_level in InventoryLevel]:
            raise NotUnderstood(f"Inventory Level (0008,0403) is {level!r}, not STUDY, SERIES or INSTANCE")
        self.level = InventoryLevel(level)
        scope = self._head.get(tags.SCOPE_OF_INVENTORY_SEQUENCE, b"")
        self.limited = any(last > first for first, last in item_bounds(scope, 0, len(scope), self._syntax))
        self._record.character_set = self._head.get(tags.SPECIFIC_CHARACTER_SET, b"")
        self.parts = list(_referenced(self._head.get(_PARTS, b""), self._uid, self._syntax))

    def _finish(self, count: int) -> None:
        values = self._values()
        self.completion = text_of(next(iter(values.get(tags.INVENTORY_COMPLETION_STATUS, ())), ""))
        stated = values.get(tags.NUMBER_OF_STUDY_RECORDS_IN_INSTANCE)
        # PS3.3 C.38.1: type 1. Without it, a missing end cannot be detected.
        if not stated or stated[0] != count:
            raise NotUnderstood(f"it has {count} study records, and says that it has {text_of((stated or [''])[0])!r}")

    def _values(self) -> Values:
        plain = {
            tag: value for tag, value in self._head.items() if tag not in (_PARTS, tags.SCOPE_OF_INVENTORY_SEQUENCE)
        }
        encoding = encoding_of(self._uid)
        writer = ElementWriter(encoding, DEFAULT)
        kinds = {tags.SOP_INSTANCE_UID: b"UI", tags.NUMBER_OF_STUDY_RECORDS_IN_INSTANCE: b"UL"}
        header = b"".join([writer.plain(tag, kinds.get(tag, b"CS"), plain[tag]) for tag in sorted(plain)])
        return header_values(header, self._uid, _HEAD)

    # ---- bytes

    def _fill(self, length: int) -> bool:
        """Buffer this many bytes; False if the data set ends before."""
        while len(self._data) < length and not self._ended:
            chunk = next(self._chunks, None)
            self._ended = chunk is None
            self._data += chunk or b""
        return len(self._data) >= length

    def _next(self, syntax: Syntax | None = None) -> tuple[int, bytes, int] | None:
        """The head of the next element, which is consumed; None at the end."""
        self._fill(12)
        if not self._data:
            return None
        read = read_element(bytes(self._data[:12]), 0, len(self._data[:12]), syntax or self._syntax)
        if read is None:
            raise NotUnderstood("data set is cut off")
        tag, vr, length, start = read
        del self._data[:start]
        return tag, vr, length

    def _take(self, length: int) -> bytes:
        if length > self._max:
            raise NotUnderstood(f"a record or a value of {length} bytes; more than {self._max} are not read")
        if not self._fill(length):
            raise NotUnderstood("data set is cut off")
        value = bytes(self._data[:length])
        del self._data[:length]
        return value

    def _pass(self, vr: bytes, length: int) -> None:
        if length == UNDEFINED:
            self._value(vr, length)
            return
        while length:
            if not self._fill(1):
                raise NotUnderstood("data set is cut off")
            passed = min(length, len(self._data))
            del self._data[:passed]
            length -= passed

    def _value(self, vr: bytes, length: int) -> bytes:
        if length != UNDEFINED:
            return self._take(length)
        return self._delimited(IMPLICIT if vr == b"UN" else self._syntax, item=False)

    def _delimited(self, syntax: Syntax, *, item: bool) -> bytes:
        """A sequence or an item of undefined length, with its delimiter. It is scanned again each time that twice as
        many bytes are buffered."""
        wanted = _STEP
        while True:
            whole = not self._fill(wanted)
            data = bytes(self._data)
            try:
                return self._take(skip(data, 0, len(data), syntax, item=item))
            except NotUnderstood:
                if whole or wanted > self._max:
                    raise
            wanted *= 2

    def _items(self, length: int, syntax: Syntax) -> Iterator[bytes]:
        """The items of the sequence that begins here, one by one (PS3.5 7.5)."""
        left = length
        while length == UNDEFINED or left > 0:
            if not self._fill(8):
                raise NotUnderstood("data set is cut off")
            head = self._next(syntax)
            if head is None or head[0] not in (tags.ITEM, tags.SEQUENCE_DELIMITATION_ITEM):
                raise NotUnderstood("no item where a sequence wants one")
            if head[0] == tags.SEQUENCE_DELIMITATION_ITEM:
                return
            undefined = head[2] == UNDEFINED
            item = self._delimited(syntax, item=True) if undefined else self._take(head[2])
            left -= 8 + len(item)
            if length != UNDEFINED and left < 0:
                raise NotUnderstood("an item reaches beyond its sequence")
            yield item[:-8] if undefined else item


class _Records:
    """Reads items of studies."""

    def __init__(self, wanted: frozenset[int]) -> None:
        self._wanted = wanted | {tags.STUDY_INSTANCE_UID, tags.ITEM_INVENTORY_DATE_TIME}
        self._of_series = wanted | {tags.SERIES_INSTANCE_UID}
        self.character_set = b""

    def study(self, item: bytes, uid: str, level: InventoryLevel) -> InventoriedStudy:
        values = dict(self._read(item, uid, self._wanted))
        name = _named(values.pop(tags.STUDY_INSTANCE_UID, ()), "a study record", "Study Instance UID")
        moment = text_of(next(iter(values.pop(tags.ITEM_INVENTORY_DATE_TIME, ())), ""))
        series = [
            self._series(series, inner, level)
            for series, inner in _items_of(item, uid, tags.INVENTORIED_SERIES_SEQUENCE)
        ]
        return InventoriedStudy(name, moment, values, tuple(series))

    def _series(self, item: bytes, uid: str, level: InventoryLevel) -> InventoriedSeries:
        values = dict(self._read(item, uid, self._of_series))
        name = _named(values.pop(tags.SERIES_INSTANCE_UID, ()), "a series record", "Series Instance UID")
        instances = []
        if level is InventoryLevel.INSTANCE:
            for instance, inner in _items_of(item, uid, tags.INVENTORIED_INSTANCES_SEQUENCE):
                uids = header_values(instance, inner, _INSTANCE)
                sop_class = text_of(next(iter(uids.get(tags.SOP_CLASS_UID, ())), ""))
                sop_instance = _named(uids.get(tags.SOP_INSTANCE_UID, ()), "an instance record", "SOP Instance UID")
                instances.append(InventoriedInstance(sop_class, sop_instance))
        return InventoriedSeries(name, values, tuple(instances))

    def _read(self, item: bytes, uid: str, wanted: frozenset[int]) -> Values:
        # PS3.5 7.5.3: an item has the character set of the data set, unless it has its own, which comes after it here.
        writer = ElementWriter(encoding_of(uid), DEFAULT)
        before = writer.plain(tags.SPECIFIC_CHARACTER_SET, b"CS", self.character_set) if self.character_set else b""
        attributes = header_values(before + item, uid, wanted | {tags.SPECIFIC_CHARACTER_SET})
        return {tag: values for tag, values in attributes.items() if tag in wanted}


def _items_of(item: bytes, uid: str, tag: int) -> Iterator[tuple[bytes, str]]:
    encoding: Encoding = encoding_of(uid)
    for _, vr, start, end in elements(item, encoding, tag, {tag}):
        inner = IMPLICIT_LITTLE_ENDIAN if vr == b"UN" else uid
        for first, last in item_bounds(item, start, end, syntax_of(encoding_of(inner))):
            yield item[first:last], inner


def _named(values: object, record: str, name: str) -> str:
    uid = text_of(values[0]) if isinstance(values, list) and values else ""
    if not is_uid(uid):
        raise NotUnderstood(f"{record} without a valid {name}")
    return uid


def _referenced(sequence: bytes, uid: str, syntax: Syntax) -> Iterator[str]:
    """SOP Instance UIDs of the parts. Each also lists its own parts, which are found when it is read."""
    for first, last in item_bounds(sequence, 0, len(sequence), syntax):
        values = header_values(sequence[first:last], uid, {tags.REFERENCED_SOP_INSTANCE_UID})
        yield _named(values.get(tags.REFERENCED_SOP_INSTANCE_UID, ()), "a reference", "Referenced SOP Instance UID")


def _inflated(chunks: Iterator[bytes]) -> Iterator[bytes]:
    inflater = Inflater(MAX_INFLATED)
    for chunk in chunks:
        yield from inflater.feed(chunk)
    yield from inflater.finish()

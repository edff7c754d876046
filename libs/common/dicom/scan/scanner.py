"""The streaming scan of a data set: extracts what ingest must know of an object while its bytes pass by."""

from __future__ import annotations

from dataclasses import dataclass

from gantry.common.dicom.encoding.inflate import Inflater
from gantry.common.dicom.scan.header import HeaderCollector, ScanLimits
from gantry.common.dicom.scan.layout import BulkElement, PixelData
from gantry.common.dicom.scan.walk import Walk
from gantry.common.dicom.standard.tags import SERIES_INSTANCE_UID, SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.common.errors import MismatchedDataSet, NotUnderstood
from gantry.common.ids import is_uid

__all__ = ["Scan", "ScanLimits", "Scanner"]

_DEFAULT_LIMITS = ScanLimits()
_PIECE = 1 << 16
"""Bytes are copied before they are examined; pieces of this size stay in the processor's cache and the allocator's
pools."""


@dataclass(frozen=True, slots=True)
class Scan:
    """The result of a scan: the fields of `gantry.common.events.InstanceStored` of the same names.

    Offsets and lengths are those of the stored data set or, if that is deflated, of the inflated one.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    header: bytes | None
    header_length: int
    bulk: tuple[BulkElement, ...]
    pixel_data: PixelData | None


class Scanner:
    """Scans one data set, fed in chunks cut anywhere. Memory is bounded by `limits`, not by the data set.

    After an exception the scanner must not be used again. Whatever the bytes, it raises only `NotUnderstood` and
    `MismatchedDataSet`.
    """

    def __init__(self, transfer_syntax_uid: str, limits: ScanLimits = _DEFAULT_LIMITS) -> None:
        encoding = encoding_of(transfer_syntax_uid)
        self._collector = HeaderCollector(limits)
        self._walk = Walk(encoding, self._collector, limits)
        self._inflater = Inflater(limits.max_inflated) if encoding.deflated else None

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the data set. Raises `NotUnderstood` as soon as they cannot become one."""
        view, pos = memoryview(chunk), 0
        while pos < len(view):
            if self._inflater is None:
                # Pixel data is neither copied nor examined.
                pos += self._walk.pass_over(len(view) - pos)
                if pos == len(view):
                    return
            piece = bytes(view[pos : pos + _PIECE])
            pos += len(piece)
            if self._inflater is None:
                self._walk.feed(piece)
                continue
            for inflated in self._inflater.feed(piece):
                self._walk.feed(inflated)

    @property
    def names(self) -> tuple[str, str] | None:
        """SOP class and SOP instance, once both have passed by and are UIDs."""
        uids = [self._walk.uids.get(tag, b"").decode("latin-1") for tag in (SOP_CLASS_UID, SOP_INSTANCE_UID)]
        return (uids[0], uids[1]) if all(is_uid(uid) for uid in uids) else None

    def finish(self) -> Scan:
        """The data set is complete.

        Raises `NotUnderstood` (C000H) if it is cut off or has an invalid UID, and `MismatchedDataSet` (A900H) if one of
        the four UIDs is missing that every composite SOP class requires (PS3.3 C.7, C.12.1).
        """
        if self._inflater is not None:
            for piece in self._inflater.finish():
                self._walk.feed(piece)
        walk = self._walk
        walk.finish()
        header, bulk, pixel_data = self._collector.result()
        return Scan(
            study_instance_uid=self._uid(STUDY_INSTANCE_UID, "study instance uid"),
            series_instance_uid=self._uid(SERIES_INSTANCE_UID, "series instance uid"),
            sop_class_uid=self._uid(SOP_CLASS_UID, "sop class uid"),
            sop_instance_uid=self._uid(SOP_INSTANCE_UID, "sop instance uid"),
            header=header,
            header_length=walk.offset if walk.header_length is None else walk.header_length,
            bulk=bulk,
            pixel_data=pixel_data,
        )

    def _uid(self, tag: int, name: str) -> str:
        value = self._walk.uids.get(tag, b"")
        if not value:
            raise MismatchedDataSet(f"data set has no {name}")
        uid = value.decode("latin-1")
        if not is_uid(uid):
            raise NotUnderstood(f"{name} is not a uid")
        return uid

"""A whole data set de-identified while it passes by; what it is known under afterwards, and what it says of the work
(PS3.15 E.1.1, E.2). Pure.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from gantry.common.deidentify.cleaning import CleaningSubject, DataSetCleaner
from gantry.common.deidentify.dummy_items import code_item
from gantry.common.deidentify.options import DeidentificationProfile, Option
from gantry.common.deidentify.pixels import Contents, refusal
from gantry.common.deidentify.pseudonyms import Pseudonyms
from gantry.common.deidentify.reading import ElementStream
from gantry.common.deidentify.vocabulary import words_of
from gantry.common.dicom.encoding.charsets import DEFAULT, character_set
from gantry.common.dicom.encoding.elements import elements
from gantry.common.dicom.encoding.inflate import Inflater
from gantry.common.dicom.encoding.syntax import syntax_of
from gantry.common.dicom.encoding.values import header_values
from gantry.common.dicom.encoding.writing import ElementWriter
from gantry.common.dicom.standard.tags import (
    BURNED_IN_ANNOTATION,
    CONVERSION_TYPE,
    DEIDENTIFICATION_METHOD,
    DEIDENTIFICATION_METHOD_CODE_SEQUENCE,
    ENCAPSULATED_DOCUMENT,
    IMAGE_TYPE,
    LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED,
    PATIENT_ID,
    PATIENT_IDENTITY_REMOVED,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    SPECIFIC_CHARACTER_SET,
    STUDY_INSTANCE_UID,
)
from gantry.common.dicom.standard.transfer_syntaxes import (
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    Encoding,
    encoding_of,
)
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.errors import NotDeidentified, NotUnderstood

METHOD = "Gantry, PS3.15 table E.1-1"
_MAX_INFLATED = 4 << 30
_WANTED = frozenset(
    (
        *(SPECIFIC_CHARACTER_SET, IMAGE_TYPE, SOP_CLASS_UID, SOP_INSTANCE_UID, CONVERSION_TYPE, PATIENT_ID),
        *(STUDY_INSTANCE_UID, BURNED_IN_ANNOTATION, ENCAPSULATED_DOCUMENT),
    )
)


@dataclass(frozen=True, slots=True)
class Deidentified:
    """An object that names nobody: its UIDs as they are now, and its data set in pieces, in its transfer syntax."""

    sop_class_uid: str
    sop_instance_uid: str
    pieces: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Deidentifier:
    """One profile with one key. Objects of a study, now or later, refer to each other as before."""

    profile: DeidentificationProfile
    pseudonyms: Pseudonyms

    def deidentified(self, pieces: Iterator[bytes], transfer_syntax_uid: str) -> Deidentified:
        """The data set in `pieces` without what identifies anybody. Everything but pixel data is read and decided
        before this returns; pixel data is read, and passed on as it is, while the result is.

        Raises `NotDeidentified` for an object that must not leave, `NotUnderstood` for one that cannot be read; the
        latter also while the result is read.
        """
        encoding = encoding_of(transfer_syntax_uid)
        if encoding.deflated:
            pieces = _inflated(pieces)
        encoding = Encoding(encoding.explicit, encoding.big_endian, False, encoding.encapsulated)
        stream = ElementStream(pieces, syntax_of(encoding))
        head = stream.held()
        plain = _plain_syntax(encoding)
        facts = header_values(head, plain, _WANTED)
        self._need_cleanable(facts, has_pixels=not stream.ended)
        cleaner = DataSetCleaner(self.profile, self.pseudonyms, self._subject(facts, head, encoding))
        left = dict(cleaner.elements(head, encoding)) | self._statement(encoding)
        beginning = b"".join([left[tag] for tag in sorted(left)])
        text = character_set([str(term or "") for term in facts.get(SPECIFIC_CHARACTER_SET, [])])

        def whole() -> Iterator[bytes]:
            yield beginning
            while not stream.ended:
                yield from stream.bulk()
                yield b"".join([written for _, written in cleaner.elements(stream.held(), encoding, text)])

        uid = _first_value(facts, SOP_INSTANCE_UID)
        written = uid if Option.UIDS in self.profile.options else self.pseudonyms.uid(uid)
        data = whole()
        if encoding_of(transfer_syntax_uid).deflated:
            data = _deflated(data)
        return Deidentified(_first_value(facts, SOP_CLASS_UID), written, data)

    def _need_cleanable(self, facts: dict[int, list[object]], *, has_pixels: bool) -> None:
        if not _first_value(facts, SOP_INSTANCE_UID) or not _first_value(facts, SOP_CLASS_UID):
            raise NotUnderstood("the data set has no SOP class or instance UID")
        contents = Contents(
            _first_value(facts, SOP_CLASS_UID),
            has_pixels,
            _first_value(facts, BURNED_IN_ANNOTATION),
            tuple(str(value).upper() for value in facts.get(IMAGE_TYPE, [])),
            _first_value(facts, CONVERSION_TYPE),
        )
        if reason := refusal(contents, checked=self.profile.pixels_checked):
            raise NotDeidentified(reason)

    def _subject(self, facts: dict[int, list[object]], head: bytes, encoding: Encoding) -> CleaningSubject:
        patient = _first_value(facts, PATIENT_ID)
        text = character_set([str(term or "") for term in facts.get(SPECIFIC_CHARACTER_SET, [])])
        names = words_of(
            (text or DEFAULT).decode(head[start:end])
            for tag, vr, start, end in elements(head, encoding)
            if b"PN" in (vr, vr_of(tag))  # a name is one whatever its sender called it
        )
        # Without a Patient ID nothing says which studies are of one person: dates move together within a study.
        days = self.pseudonyms.days(patient or _first_value(facts, STUDY_INSTANCE_UID))
        return CleaningSubject(self.pseudonyms.patient(patient), days, names)

    def _statement(self, encoding: Encoding) -> dict[int, bytes]:
        """PS3.15 E.1.1 and PS3.3 C.7.1.1, C.12.1.1.9: that, how and by which options it was done."""
        writer = ElementWriter(encoding, DEFAULT)
        items = [writer.elements(code_item(value, "DCM", meaning)) for value, meaning in self.profile.codes()]
        values = {
            PATIENT_IDENTITY_REMOVED: ("CS", "YES"),
            DEIDENTIFICATION_METHOD: ("LO", METHOD),
            LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED: ("CS", self.profile.temporal),
        }
        written = {tag: writer.element(tag, {"vr": vr, "Value": [value]}) for tag, (vr, value) in values.items()}
        return {
            **written,
            DEIDENTIFICATION_METHOD_CODE_SEQUENCE: writer.sequence(DEIDENTIFICATION_METHOD_CODE_SEQUENCE, items),
        }


def _first_value(facts: dict[int, list[object]], tag: int) -> str:
    values = facts.get(tag) or [""]
    return str(values[0] or "")


def _plain_syntax(encoding: Encoding) -> str:
    if not encoding.explicit:
        return IMPLICIT_LITTLE_ENDIAN
    return EXPLICIT_BIG_ENDIAN if encoding.big_endian else EXPLICIT_LITTLE_ENDIAN


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    inflater = Inflater(_MAX_INFLATED)
    for piece in pieces:
        yield from inflater.feed(piece)
    yield from inflater.finish()


def _deflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """PS3.5 A.5: padded to an even length."""
    deflate, length = zlib.compressobj(wbits=-zlib.MAX_WBITS), 0
    for piece in pieces:
        if packed := deflate.compress(piece):
            length += len(packed)
            yield packed
    last = deflate.flush()
    yield last + b"\0" * ((length + len(last)) & 1)

"""HL7 messages for tests: segments by field number, so that nobody has to count delimiters."""

from __future__ import annotations

from collections.abc import Mapping

Fields = Mapping[int, str]
PATIENT: Fields = {3: "4711^^^HOSP^MR", 5: "MÜLLER^JÖRG^^^Dr.", 7: "19700131", 8: "M"}
ORDER: Fields = {2: "P100^RIS", 3: "F100^RIS"}
PROCEDURE: Fields = {
    4: "CTHEAD^CT of the head^LOCAL^CTH^Head plain^LOCAL",
    16: "007^SCHMIDT^KARL",
    18: "A100",
    19: "RP100",
    20: "S100",
    24: "CT",
}


def segment(name: str, fields: Fields) -> str:
    """A segment with these fields."""
    last = max(fields, default=0)
    return "|".join([name, *(fields.get(number, "") for number in range(1, last + 1))])


def message(
    kind: str,
    *segments: str,
    control_id: str = "MSG1",
    source: str = "RIS|HOSPITAL",
    version: str = "2.5",
    charset: str = "UNICODE UTF-8",
    extra: Fields | None = None,
) -> bytes:
    """A message of these segments behind its MSH; `extra` are more fields of that."""
    application, facility = source.split("|")
    fields = {2: "^~\\&", 3: application, 4: facility, 5: "GANTRY", 6: "HOSPITAL", 7: "20261127120000", 9: kind}
    fields |= {10: control_id, 11: "P", 12: version, 18: charset, **(extra or {})}
    # MSH-1 is the separator itself.
    header = "MSH|" + "|".join(fields.get(number, "") for number in range(2, max(fields) + 1)).rstrip("|")
    codec = "iso8859-1" if charset == "8859/1" else "utf-8"
    return ("\r".join((header, *segments)) + "\r").encode(codec)


def order(
    control: str = "NW",
    *,
    kind: str = "ORM^O01",
    orc: Fields | None = None,
    obr: Fields | None = None,
    pid: Fields | None = None,
    more: tuple[str, ...] = (),
    control_id: str = "MSG1",
    extra: Fields | None = None,
) -> bytes:
    """An order with one step; given fields are added to the default ones, or replace them."""
    orc = {1: control, **ORDER, 7: "^^^202611281030^^S", **(orc or {})}
    return message(
        kind,
        segment("PID", {**PATIENT, **(pid or {})}),
        segment("PV1", {2: "O", 3: "RAD", 8: "008^MEIER^ANNA", 19: "V1"}),
        segment("ORC", orc),
        segment("OBR", {**PROCEDURE, **(obr or {})}),
        *more,
        control_id=control_id,
        extra=extra,
    )


def patient(
    event: str,
    *,
    pid: Fields | None = None,
    mrg: Fields | None = None,
    pv1: Fields | None = None,
    control_id: str = "MSG1",
) -> bytes:
    """An ADT message."""
    segments = [segment("EVN", {1: event}), segment("PID", {**PATIENT, **(pid or {})})]
    segments += [segment("MRG", mrg)] if mrg is not None else []
    segments += [segment("PV1", pv1)] if pv1 is not None else []
    return message(f"ADT^{event}", *segments, control_id=control_id)


def report(
    status: str = "F",
    text: str = "No fracture.",
    *,
    obr: Fields | None = None,
    pid: Fields | None = None,
    more: tuple[str, ...] = (),
    control_id: str = "REP1",
) -> bytes:
    """A report on the order that `order` places, with a text."""
    obr = {**ORDER, **PROCEDURE, 22: "202611281215", 25: status, 32: "&MEYER&EVA&&&Dr.", **(obr or {})}
    return message(
        "ORU^R01",
        segment("PID", {**PATIENT, **(pid or {})}),
        segment("OBR", obr),
        segment("OBX", {1: "1", 2: "TX", 3: "IMP^Impression", 5: text, 11: status}),
        *more,
        control_id=control_id,
    )

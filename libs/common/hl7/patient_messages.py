"""That a patient is called something else, was merged into another one, or has another ID, as a message to others:
ADT^A08, A40, A47 (HL7 v2.5.1 3.3.8, 3.3.40, 3.3.47; IHE RAD-12). Pure.

The fields are those that this archive reads in the messages of others (`gantry.common.hl7.patients`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from gantry.common.hl7.results import (
    Attributes,
    Correspondents,
    ResultMessage,
    identified,
    moment,
    patient_fields,
    patient_identifier,
)
from gantry.common.hl7.writing import MessageCharset, components, segment


class PatientEvent(Enum):
    """Trigger event, and the structure of its message (HL7 table 0354)."""

    UPDATED = ("A08", "ADT_A01")
    MERGED = ("A40", "ADT_A39")
    RENAMED = ("A47", "ADT_A30")


@dataclass(frozen=True, slots=True)
class PatientNews:
    """What is told of a patient. `attributes` say who it is now, `prior` (ID and issuer) who it was before. `cause`
    names why it is told, `at` is when that was (microseconds since 1970)."""

    event: PatientEvent
    attributes: Attributes
    cause: str
    at: int
    prior: Attributes | None = None


def patient_message(news: PatientNews, between: Correspondents, charset: MessageCharset) -> ResultMessage:
    """The message: the same to the byte, with one control ID, however often it is sent."""
    event, structure = news.event.value
    body = [*_body(news, charset)]
    return identified(components("ADT", event, structure), news.at, news.cause, body, between, charset)


def _body(news: PatientNews, charset: MessageCharset) -> Iterator[str]:
    event, _ = news.event.value
    yield segment("EVN", {1: event, 2: moment(news.at)})
    yield segment("PID", {1: "1", **patient_fields(news.attributes, charset)})
    if news.prior is not None:
        yield segment("MRG", {1: patient_identifier(news.prior)})
    if news.event is PatientEvent.UPDATED:
        # Table 0004, N: nothing is said of a visit.
        yield segment("PV1", {1: "1", 2: "N"})

"""The values of corrections in the object store: JSON in the DICOM JSON model (PS3.18 F.2), one object for each.

They name a patient, so they are not on the log, which is kept for ever; they are removed when nothing of the study or
the patient is left.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import msgpack

from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID
from gantry.common.errors import NotUnderstood
from gantry.common.ids import Receipt
from gantry.common.lifecycle import Values
from gantry.common.lifecycle.identity import PatientIdentity
from gantry.common.ports.blobs import BlobStore, read_whole

_TAG = re.compile("[0-9A-F]{8}")


@dataclass(frozen=True, slots=True)
class CorrectionSubject:
    """The subject of a correction: a study, or a patient (`gantry.common.lifecycle.patient_key`). `awaited`: there was
    no study of the patient yet, and the values wait for one."""

    study: str = ""
    patient: str = ""
    awaited: bool = False


async def write_values(
    objects: BlobStore,
    partition: str,
    correction: str,
    subject: CorrectionSubject,
    values: Values,
    whose: Values | None = None,
) -> None:
    """Write the values of a correction; `whose` are ID and issuer of its patient. Durable when this returns. Raises
    `DependencyUnavailable`."""
    content: dict[str, object] = {"study": subject.study, "patient": subject.patient, "values": values}
    content |= {} if whose is None else {"whose": whose}
    content |= {"awaited": True} if subject.awaited else {}
    await objects.put(Receipt(correction).values_key(partition), [json.dumps(content, sort_keys=True).encode()])


async def read_whose(objects: BlobStore, key: str) -> tuple[PatientIdentity, Values] | None:
    """The patient of a correction, and its values; None if an earlier release did not record the patient. Raises as
    `read_values`."""
    body = await _read(objects, key)
    whose = body.get("whose")
    return None if whose is None else (identity_in(whose), body["values"])


def identity_in(values: Values) -> PatientIdentity:
    """The patient that values name. Raises `NotUnderstood`."""
    patient, issuer = (values.get(f"{tag:08X}", {}) for tag in (PATIENT_ID, ISSUER_OF_PATIENT_ID))
    return PatientIdentity(*(str(next(iter(element.get("Value", ())), "")) for element in (patient, issuer)))


async def end_waiting(objects: BlobStore, key: str) -> None:
    """A study has arrived for which the values of a correction waited: they are not `awaited` any more. Raises as
    `read_values`."""
    body = await _read(objects, key)
    body.pop("awaited", None)
    await objects.put(key, [json.dumps(body, sort_keys=True).encode()])


async def read_values(objects: BlobStore, key: str) -> tuple[CorrectionSubject, Values]:
    """The subject and values of a correction. Raises `NotFound` if they were removed, `NotUnderstood` if they are
    invalid, and `DependencyUnavailable`."""
    body = await _read(objects, key)
    return CorrectionSubject(str(body["study"]), str(body["patient"]), body.get("awaited") is True), body["values"]


async def _read(objects: BlobStore, key: str) -> dict[str, Any]:
    """The whole content, checked. Raises as `read_values`."""
    content = await read_whole(objects, key)
    try:
        body: dict[str, Any] = json.loads(content)
        values, _ = body["values"], (body["study"], body["patient"])
        if not all(isinstance(element, dict) and _TAG.fullmatch(name) for name, element in values.items()):
            raise ValueError
        msgpack.packb(values)  # as in an index: invalid text (lone surrogates) cannot be packed
        return body
    except (ValueError, KeyError, TypeError, AttributeError):
        raise NotUnderstood("not the values of a correction") from None

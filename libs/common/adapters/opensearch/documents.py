"""Documents as they lie in the indices (pure).

A document's id begins with its partition. `live` is false for what has nothing below it any more: such a document
stays, so that a writer who still believes in what was before meets a newer `_seq_no` and not an empty place.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
from blake3 import blake3

from libs.common.adapters.election import Election, Side
from libs.common.adapters.opensearch.terms import terms_of
from libs.common.dicom import attributes as tags
from libs.common.dicom.attributes import AttributeTable, Level
from libs.common.dicom.values import text_of
from libs.common.ports.index import InstanceEntry, Location

Attributes = dict[int, list[Any]]
Source = dict[str, Any]

_ISSUER = 0x00100021


def pack(attributes: Mapping[int, Any]) -> str:
    """Attributes as a document carries them: exactly, whatever JSON can or cannot say."""
    return b64encode(msgpack.packb(dict(attributes))).decode("ascii")


def unpack(packed: str) -> Attributes:
    """The other way round."""
    attributes: Attributes = msgpack.unpackb(b64decode(packed), strict_map_key=False)
    return attributes


def of_level(attributes: Mapping[int, Any], level: Level, table: AttributeTable) -> Attributes:
    """The stored attributes of one level."""
    tags = table.stored_of[level]
    return {tag: value for tag, value in attributes.items() if tag in tags}


def instance_id(partition: str, uid: str) -> str:
    """UIDs and partitions hold no colon."""
    return f"{partition}:{uid}"


study_id = instance_id
patient_id = instance_id


def series_id(partition: str, study: str, uid: str) -> str:
    """A Series Instance UID is looked for within its study: what is said of it elsewhere is another series."""
    return f"{partition}:{study}:{uid}"


def patient_key(above: Mapping[int, Any], study_uid: str) -> str:
    """Patients are told apart by Patient ID and its issuer; without an ID, by their study: it cannot be known that two
    of those are one person. A digest, since an ID may be as long as a modality likes."""
    patient, issuer = ([text_of(v) for v in above.get(tag, []) if v] for tag in (tags.PATIENT_ID, _ISSUER))
    return blake3(json.dumps([patient, issuer] if patient else study_uid).encode()).hexdigest(length=20)


# ---- instances


def election_of(source: Source | None) -> Election:
    """What is known of an instance's receipts."""
    known = source["receipts"]["all"] if source is not None else []
    return Election([Side(*row[:3]) for row in known])


def instance_source(entry: InstanceEntry, table: AttributeTable) -> Source:
    """The part of an instance's document that tells of its current object."""
    given = entry.attributes
    image = of_level(given, Level.IMAGE, table)
    above = {tag: value for tag, value in given.items() if tag in table.stored and tag not in image}
    image[tags.SOP_CLASS_UID] = [entry.sop_class_uid]
    image[tags.SOP_INSTANCE_UID] = [entry.sop_instance_uid]
    above[tags.STUDY_INSTANCE_UID] = [entry.study_instance_uid]
    above[tags.SERIES_INSTANCE_UID] = [entry.series_instance_uid]
    return {
        "partition": entry.partition,
        "uid": entry.sop_instance_uid,
        "live": True,
        "first": entry.receipt,
        "study": entry.study_instance_uid,
        "series": entry.series_instance_uid,
        "sop_class": entry.sop_class_uid,
        "place": {
            "transfer_syntax": entry.transfer_syntax_uid,
            "object_key": entry.object_key,
            "offset": entry.data_set_offset,
            "length": entry.data_set_length,
            "digest": entry.digest,
            "layout": b64encode(entry.layout).decode("ascii"),
        },
        "attributes": pack(image),
        "above": pack(above),
        "t": terms_of(image, Level.IMAGE, table),
    }


def receipts_source(election: Election, before: Source | None) -> Source:
    """The part that tells of all receipts; the object of each stays known, for whoever collects what nobody needs."""
    keys = {row[0]: row[3] for row in before["receipts"]["all"]} if before is not None else {}
    keys |= {entry.receipt: entry.object_key for entry in election.new}
    return {"aside": election.aside, "receipts": {"all": [[*side, keys[side.receipt]] for side in election.sides]}}


LOCATION_FIELDS = ("study", "series", "uid", "sop_class", "place")


def location_of(source: Source) -> Location:
    """Where the current object of an instance is."""
    place = source["place"]
    return Location(
        source["study"],
        source["series"],
        source["uid"],
        source["sop_class"],
        place["transfer_syntax"],
        place["object_key"],
        place["offset"],
        place["length"],
        place["digest"],
        b64decode(place.get("layout", "")),
    )


# ---- what is above


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """What the instances of a series amount to. `above` are the attributes above IMAGE of the earliest one."""

    study: str
    uid: str
    first: str
    instances: int
    sop_classes: Sequence[str]
    above: Attributes

    @property
    def modalities(self) -> list[str]:
        """PS3.4 C.6.2.1.3: as the series says."""
        return [text_of(value) for value in self.above.get(tags.MODALITY, []) if value]


def series_source(partition: str, series: SeriesSummary, table: AttributeTable) -> Source:
    """A series."""
    attributes = of_level(series.above, Level.SERIES, table)
    attributes[tags.SERIES_INSTANCE_UID] = [series.uid]
    attributes[tags.NUMBER_OF_SERIES_RELATED_INSTANCES] = [series.instances]
    return {
        "partition": partition,
        "uid": series.uid,
        "study": series.study,
        "live": True,
        "first": series.first,
        "instances": series.instances,
        "attributes": pack(attributes),
        "t": terms_of(attributes, Level.SERIES, table),
    }


def study_source(
    partition: str, uid: str, below: Sequence[SeriesSummary], before: Source | None, table: AttributeTable
) -> Source:
    """A study, of the summaries of all its series. What it carries of its patient stays while the patient is the same;
    else it is what its own instances say, until the patient's document is written."""
    elected = min(below, key=lambda series: (series.first, series.uid))
    attributes = of_level(elected.above, Level.STUDY, table)
    attributes[tags.STUDY_INSTANCE_UID] = [uid]
    attributes[tags.MODALITIES_IN_STUDY] = sorted({value for series in below for value in series.modalities})
    attributes[tags.SOP_CLASSES_IN_STUDY] = sorted({value for series in below for value in series.sop_classes})
    instances = sum(series.instances for series in below)
    attributes[tags.NUMBER_OF_STUDY_RELATED_SERIES] = [len(below)]
    attributes[tags.NUMBER_OF_STUDY_RELATED_INSTANCES] = [instances]
    patient = patient_key(elected.above, uid)
    of_patient = of_level(elected.above, Level.PATIENT, table)
    if before is not None and before.get("patient") == patient:
        carried = {field: before[field] for field in ("patient_terms", "patient_seq", "p")}
    else:
        terms, named = carried_terms(patient, of_patient, table)
        carried = {"patient_terms": named, "patient_seq": -1, "p": terms}
    return {
        "partition": partition,
        "uid": uid,
        "live": True,
        "first": elected.first,
        "series": len(below),
        "instances": instances,
        "attributes": pack(attributes),
        "t": terms_of(attributes, Level.STUDY, table),
        "patient": patient,
        "of_patient": pack(of_patient),
        **carried,
    }


def patient_source(
    partition: str, key: str, first: str, stored: Attributes, counts: tuple[int, int, int], table: AttributeTable
) -> Source:
    """A patient. `counts` are studies, series and instances."""
    attributes = dict(stored)
    attributes[tags.NUMBER_OF_PATIENT_RELATED_STUDIES] = [counts[0]]
    attributes[tags.NUMBER_OF_PATIENT_RELATED_SERIES] = [counts[1]]
    attributes[tags.NUMBER_OF_PATIENT_RELATED_INSTANCES] = [counts[2]]
    return {
        "partition": partition,
        "uid": key,
        "live": True,
        "first": first,
        "studies": counts[0],
        "series": counts[1],
        "instances": counts[2],
        "attributes": pack(attributes),
        "t": terms_of(attributes, Level.PATIENT, table),
    }


def carried_terms(
    patient: str, attributes: Mapping[int, Any], table: AttributeTable
) -> tuple[dict[str, list[str]], str]:
    """The terms that a patient's studies carry so that they are found by the patient, and a name for patient and terms
    together. Counts are not among them: they change with every image."""
    terms = terms_of(of_level(attributes, Level.PATIENT, table), Level.PATIENT, table)
    return terms, f"{patient}:{blake3(json.dumps(terms, sort_keys=True).encode()).hexdigest(length=8)}"

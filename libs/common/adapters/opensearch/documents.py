"""Documents as they are stored in the indices (pure).

A document's id begins with its partition. `live` is false if there is nothing below the document any more: it stays, so
that a writer with outdated data meets a newer `_seq_no` and not a missing document.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgpack
from blake3 import blake3

from gantry.common.adapters.election import Candidate, Election
from gantry.common.adapters.opensearch.schema import ORDER_TEXTS
from gantry.common.adapters.opensearch.terms import terms_of
from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.query.attributes import ATTRIBUTES, AttributeTable, Level
from gantry.common.dicom.query.ordering import order_text
from gantry.common.dicom.standard.tags import (
    MODALITIES_IN_STUDY,
    MODALITY,
    NUMBER_OF_PATIENT_RELATED_INSTANCES,
    NUMBER_OF_PATIENT_RELATED_SERIES,
    NUMBER_OF_PATIENT_RELATED_STUDIES,
    NUMBER_OF_SERIES_RELATED_INSTANCES,
    NUMBER_OF_STUDY_RELATED_INSTANCES,
    NUMBER_OF_STUDY_RELATED_SERIES,
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_CLASSES_IN_STUDY,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from gantry.common.lifecycle import CorrectionEffect, corrections_below
from gantry.common.ports.index import InstanceEntry, InstanceKey, KnownReceipt, Location

Attributes = dict[int, list[Any]]
Source = dict[str, Any]


def pack(attributes: Mapping[int, Any]) -> str:
    """Attributes as stored in a document: exactly, including values that JSON cannot represent."""
    return b64encode(msgpack.packb(dict(attributes))).decode("ascii")


def unpack(packed: str) -> Attributes:
    """The other way round."""
    attributes: Attributes = msgpack.unpackb(b64decode(packed), strict_map_key=False)
    return attributes


def of_level(attributes: Mapping[int, Any], level: Level, table: AttributeTable) -> Attributes:
    """The stored attributes of one level."""
    tags = table.stored_of[level]
    return {tag: value for tag, value in attributes.items() if tag in tags}


def study_id(partition: str, uid: str) -> str:
    """UIDs and partitions hold no colon."""
    return f"{partition}:{uid}"


patient_id = study_id


def series_id(partition: str, study: str, uid: str) -> str:
    """A Series Instance UID is looked up within its study: the same UID elsewhere is another series."""
    return f"{partition}:{study}:{uid}"


def instance_id(partition: str, instance: InstanceKey) -> str:
    """A SOP Instance UID within its series: the same UID elsewhere is another instance."""
    return (
        f"{series_id(partition, instance.study_instance_uid, instance.series_instance_uid)}:{instance.sop_instance_uid}"
    )


# ---- instances


MOST_NEAR = 32
"""Most receipts in an instance's document; if it has more, only the two that decide stay."""

Hit = list[Any]
"""A receipt in its instance's document: id, digest, transfer syntax, object key, data set offset, sender, lost."""
_RECEIPT = ("receipt", "digest", "transfer_syntax", "object_key", "data_set_offset", "sender", "lost")
_LOST = _RECEIPT.index("lost")


def receipt_id(instance: str, receipt: str) -> str:
    """The id of a receipt's own document."""
    return f"{instance}:{receipt}"


def election_of(source: Source | None, elsewhere: Iterable[Candidate] = ()) -> Election:
    """The election of an instance's receipts: from its document, and from documents of their own."""
    near = source["receipts"]["near"] if source is not None else []
    return Election((Candidate(*row[:3]) for row in near), elsewhere)


def moved_receipts(source: Source | None) -> int:
    """How many receipts of an instance have their own documents."""
    return int(source["receipts"]["moved"]) if source is not None else 0


def instance_source(entry: InstanceEntry, table: AttributeTable) -> Source:
    """The part of an instance's document about its current object."""
    attributes = entry.attributes
    image = of_level(attributes, Level.IMAGE, table)
    above = {tag: value for tag, value in attributes.items() if tag in table.stored and tag not in image}
    image[SOP_CLASS_UID] = [entry.sop_class_uid]
    image[SOP_INSTANCE_UID] = [entry.sop_instance_uid]
    above[STUDY_INSTANCE_UID] = [entry.study_instance_uid]
    above[SERIES_INSTANCE_UID] = [entry.series_instance_uid]
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


def receipts_source(election: Election, moved_aside: int, before: Source | None) -> Source:
    """The part about all receipts; the object of each stays known, for the collector. `moved_aside` are those aside
    with documents of their own."""
    near: list[Hit] = [] if before is None else list(before["receipts"]["near"])
    near += [row_of(entry) for entry in election.new]
    return {
        "aside": election.aside + moved_aside,
        "receipts": {"near": near, "moved": moved_receipts(before), "moved_aside": moved_aside},
    }


def row_of(entry: InstanceEntry, *, lost: bool = False) -> Hit:
    """A receipt as it is in its instance's document."""
    at = entry.object_key, entry.data_set_offset
    return [entry.receipt, entry.digest, entry.transfer_syntax_uid, *at, entry.sender, lost]


def is_lost(receipts: Source) -> bool:
    """Whether the object of the earliest receipt is lost, so that another one has to be read."""
    return bool(receipts["near"]) and bool(min(receipts["near"])[_LOST])


def readable_place(rows: Iterable[Hit], receipts: Source) -> Source:
    """Where the current bytes of an instance are to be read: from their earliest receipt that is not lost; from the
    earliest of all if all are; nowhere if none is left. `rows` are the receipts to choose from, `receipts` the
    instance's."""
    if not receipts["near"]:
        return {}
    current = min(receipts["near"])
    same = [row for row in rows if row[1:3] == current[1:3]]
    best = min(same, key=lambda row: (row[_LOST], row[0]), default=current)
    return {"object_key": best[3], "offset": best[4]}


def with_loss(receipts: Source, lost: Collection[str]) -> Source:
    """The receipts of an instance with some of them lost."""
    near = [[*row[:_LOST], row[_LOST] or row[0] in lost] for row in receipts["near"]]
    return {**receipts, "near": near}


def known_receipt(row: Hit, *, lost: bool = False) -> KnownReceipt:
    """A row in the form of the port; `lost` if that is known from elsewhere."""
    known = KnownReceipt(*row)
    return replace(known, lost=known.lost or lost)


@dataclass(frozen=True, slots=True)
class Shortened:
    """The receipts in an instance's document once those in `moved` have documents of their own."""

    receipts: Source
    moved: Sequence[Hit]


def shortened(source: Source | None) -> Shortened | None:
    """How a document with too many receipts is reduced to those that decide; None if it does not have too many."""
    receipts = source["receipts"] if source is not None else {"near": []}
    near: list[Hit] = sorted(receipts["near"])
    if len(near) <= MOST_NEAR:
        return None
    current = near[0]
    rival = next((row for row in near if row[1:3] != current[1:3]), None)
    stays = [current] if rival is None else [current, rival]
    moved = [row for row in near if row not in stays]
    aside = sum(row[1:3] != current[1:3] for row in moved)
    fields = {
        "near": stays,
        "moved": receipts["moved"] + len(moved),
        "moved_aside": receipts["moved_aside"] + aside,
    }
    return Shortened(fields, moved)


def receipt_source(instance: str, row: Hit) -> Source:
    """A receipt in a document of its own. `instance` is the id of the instance's document."""
    return {"instance": instance, **dict(zip(_RECEIPT, row, strict=True))}


def receipt_row(source: Source) -> Hit:
    """The other way round."""
    return [source[name] for name in _RECEIPT]


LOCATION_FIELDS = ("partition", "study", "series", "uid", "sop_class", "place", "aside", "first")


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
        source["aside"],
    )


def corrected_location(location: Location, study: Source | None) -> Location:
    """The same with the corrections that apply to it, from the document of its study."""
    packed = b64decode((study or {}).get("applied", ""))
    if not packed:
        return location
    return replace(location, corrections=corrections_below(packed, location.series_instance_uid))


# ---- what is above


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """The summary of a series' instances. `above` are the attributes above IMAGE of the earliest one."""

    study: str
    uid: str
    first: str
    instances: int
    sop_classes: Sequence[str]
    above: Attributes

    @property
    def modalities(self) -> list[str]:
        """PS3.4 C.6.2.1.3: the modalities of the series."""
        return [text_of(value) for value in self.above.get(MODALITY, []) if value]


def series_source(partition: str, series: SeriesSummary, table: AttributeTable) -> Source:
    """A series."""
    attributes = of_level(series.above, Level.SERIES, table)
    attributes[SERIES_INSTANCE_UID] = [series.uid]
    attributes[NUMBER_OF_SERIES_RELATED_INSTANCES] = [series.instances]
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
    partition: str,
    uid: str,
    below: Sequence[SeriesSummary],
    effect: CorrectionEffect,
    table: AttributeTable,
    patients: Collection[str] = (),
) -> Source:
    """A study, from the corrected summaries of all its series. `effect` is that of its corrections. `patients` are all
    that it ever had: the process that writes the study may die before the former patient is updated."""
    elected = min(below, key=lambda series: (series.first, series.uid))
    attributes = of_level(elected.above, Level.STUDY, table)
    attributes[STUDY_INSTANCE_UID] = [uid]
    attributes[MODALITIES_IN_STUDY] = sorted({value for series in below for value in series.modalities})
    attributes[SOP_CLASSES_IN_STUDY] = sorted({value for series in below for value in series.sop_classes})
    instances = sum(series.instances for series in below)
    attributes[NUMBER_OF_STUDY_RELATED_SERIES] = [len(below)]
    attributes[NUMBER_OF_STUDY_RELATED_INSTANCES] = [instances]
    demographics = dict(sorted(of_level(elected.above, Level.PATIENT, table).items()))
    packed = pack(demographics)
    patient = effect.walk[-1]
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
        "was": sorted({*patients} - {patient}),
        "walk": list(effect.walk),
        "applied": b64encode(effect.pack()).decode("ascii"),
        "demographics": packed,
        "variant": blake3(packed.encode()).hexdigest(length=16),
        "p": terms_of(demographics, Level.PATIENT, table),
        "o": order_texts(demographics | attributes),
    }


def order_texts(attributes: Mapping[int, Any]) -> dict[str, str]:
    """The texts by which a study is ordered."""
    return {keyword: order_text(ATTRIBUTES[tag].vr, attributes.get(tag, ())) for tag, keyword in ORDER_TEXTS.items()}


def patient_source(
    partition: str,
    key: str,
    variants: Sequence[tuple[str, Attributes]],
    counts: tuple[int, int, int],
    table: AttributeTable,
) -> Source:
    """A patient. `variants` are the values in its studies, each with the receipt of the first one that has them, the
    earliest first; `counts` are studies, series and instances."""
    statements = [attributes | patient_counts(counts) for _, attributes in variants]
    return {
        "partition": partition,
        "uid": key,
        "live": True,
        "first": variants[0][0],
        "studies": counts[0],
        "series": counts[1],
        "instances": counts[2],
        "attributes": pack(statements[0]),
        "variants": [pack(attributes) for attributes in statements[1:]],
        "t": _united([terms_of(attributes, Level.PATIENT, table) for attributes in statements]),
    }


def patient_counts(counts: tuple[int, int, int]) -> Attributes:
    """The computed attributes of a patient: PS3.4 table C.6-1."""
    return {
        NUMBER_OF_PATIENT_RELATED_STUDIES: [counts[0]],
        NUMBER_OF_PATIENT_RELATED_SERIES: [counts[1]],
        NUMBER_OF_PATIENT_RELATED_INSTANCES: [counts[2]],
    }


def _united(terms: Sequence[dict[str, list[str]]]) -> dict[str, list[str]]:
    """The terms of all of them: a patient is found by the values in any of its studies."""
    names = {name for fields in terms for name in fields}
    return {name: sorted({term for fields in terms for term in fields.get(name, ())}) for name in sorted(names)}

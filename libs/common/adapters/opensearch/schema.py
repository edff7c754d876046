"""The indices: strict mappings, those of the searched ones made from the table of attributes; a template for each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from gantry.common.adapters.opensearch.cluster import LEVELS, OpenSearchCluster
from gantry.common.adapters.opensearch.terms import SOUNDS, field_type, searchable
from gantry.common.dicom.query.attributes import ATTRIBUTES, Attribute, AttributeTable, Level
from gantry.common.dicom.query.ordering import RECEIVED, STUDY_ORDERS, Order
from gantry.common.dicom.standard.tags import NUMBER_OF_STUDY_RELATED_INSTANCES, NUMBER_OF_STUDY_RELATED_SERIES

VERSION = 7
"""Part of every index name: a new mapping is a new version, and is introduced by `gantry reindex`."""

_LEVEL = dict(zip(LEVELS, Level, strict=True))

_KEY: dict[str, Any] = {"type": "keyword", "ignore_above": 8191}
_NUMBER: dict[str, Any] = {"type": "integer"}
_PACKED: dict[str, Any] = {"type": "binary"}
_UNSEEN: dict[str, Any] = {"type": "object", "enabled": False}
"""Stored, but not searchable."""

_ORDERED_BY = {
    NUMBER_OF_STUDY_RELATED_SERIES: "series",
    NUMBER_OF_STUDY_RELATED_INSTANCES: "instances",
    RECEIVED: "first",
}
ORDER_TEXTS = {tag: ATTRIBUTES[tag].keyword for tag in STUDY_ORDERS if tag not in _ORDERED_BY}
"""The attributes by which studies are ordered with a text made for it, and its name under "o"."""
ORDERED = _ORDERED_BY | {tag: f"o.{keyword}" for tag, keyword in ORDER_TEXTS.items()}
"""The field of each order of studies."""

_COMMON = {"partition": _KEY, "uid": _KEY, "live": {"type": "boolean"}, "first": _KEY, "attributes": _PACKED}
_OWN: dict[str, dict[str, Any]] = {
    "patients": {"studies": _NUMBER, "series": _NUMBER, "instances": _NUMBER, "variants": _PACKED},
    "studies": {
        "patient": _KEY,
        "was": _KEY,
        "walk": _KEY,
        "applied": _PACKED,
        "series": _NUMBER,
        "instances": _NUMBER,
        "demographics": _PACKED,
        "variant": _KEY,
        "o": {"type": "object", "dynamic": "strict", "properties": dict.fromkeys(ORDER_TEXTS.values(), _KEY)},
    },
    "series": {"study": _KEY, "instances": _NUMBER},
    "instances": {
        "study": _KEY,
        "series": _KEY,
        "sop_class": _KEY,
        "aside": _NUMBER,
        "receipts": _UNSEEN,
        "place": _UNSEEN,
        "above": _PACKED,
    },
}
_CARRIED: dict[str, Any] = {"type": "keyword", "index": False, "doc_values": False}
_RECEIPT: dict[str, Any] = {
    "instance": _KEY,
    "receipt": _KEY,
    "digest": _KEY,
    "transfer_syntax": _KEY,
    "object_key": _CARRIED,
    "data_set_offset": {"type": "long", "index": False},
    "sender": _CARRIED,
    "lost": {"type": "boolean"},
}
_FATE: dict[str, Any] = {
    "partition": _KEY,
    "study": _KEY,
    "series": _KEY,
    "uid": _KEY,
    "receipt": _KEY,
    "decided": {"type": "boolean"},
    "fate": _PACKED,
    "kept": {"type": "boolean"},
    "entry": _PACKED,
    "object_key": _CARRIED,
    "digest": _CARRIED,
    "lost": {"type": "boolean"},
}
_HOLDS: dict[str, Any] = {"partition": _KEY, "study": _KEY, "placed": _CARRIED, "released": _CARRIED}
_CORRECTIONS: dict[str, Any] = {"partition": _KEY, "study": _KEY, "patient": _KEY, "state": _PACKED}
_ACCESS: dict[str, Any] = {"partition": _KEY, "study": _KEY, "at": {"type": "long", "index": False}}
_PLACE: dict[str, Any] = {
    "partition": _KEY,
    "study": _KEY,
    "series": _KEY,
    "uid": _KEY,
    "receipt": _KEY,
    "store": _KEY,
    "at": {"type": "long", "index": False},
    "hidden": {"type": "boolean"},
}
_BESIDE = {
    "receipts": _RECEIPT,
    "fates": _FATE,
    "holds": _HOLDS,
    "corrections": _CORRECTIONS,
    "accesses": _ACCESS,
    "places": _PLACE,
}
"""The kinds that are not searched by attributes."""
_SORT = {
    "patients": ["uid"],
    "studies": ["uid"],
    "series": ["study", "uid"],
    "instances": ["study", "series", "uid"],
    "receipts": ["instance", "receipt"],
    "fates": ["study", "receipt"],
    "holds": ["study"],
    "corrections": ["study", "patient"],
    "accesses": ["study"],
    "places": ["study", "receipt"],
}


def sort_of(kind: str) -> list[str]:
    """The sort fields of documents of a kind: none of them ever changes within a document."""
    return _SORT[kind]


def order_fields(order: Order) -> list[tuple[str, bool]]:
    """The sort fields of ordered studies, and whether each is descending; the UID last."""
    fields = [(ORDERED[key.tag], key.descending) for key in order]
    return [*fields, ("uid", fields[-1][1])]


def template_of(kind: str, cluster: OpenSearchCluster) -> dict[str, Any]:
    """The index template of a kind, with a digest of itself for comparison; the mappings of the attributes are in the
    body of each index."""
    template = {
        "index_patterns": [f"{cluster.alias(kind)}-v{VERSION}-*"],
        "priority": 500,
        "template": {
            "settings": {
                "number_of_shards": cluster.shards if kind == "instances" else 1,
                "number_of_replicas": cluster.replicas,
                # `apply` refreshes what it wrote, and nothing else writes.
                "refresh_interval": "60s",
                # If deleted documents are to be purged from the files, all of them are (docs/lifecycle.md).
                "merge.policy.expunge_deletes_allowed": 0,
                "sort.field": _SORT[kind],
                "sort.order": ["asc"] * len(_SORT[kind]),
            },
            "mappings": {
                "dynamic": "strict",
                "properties": _BESIDE[kind] if kind in _BESIDE else {**_COMMON, **_OWN[kind]},
            },
        },
    }
    digest = hashlib.blake2b(json.dumps(template, sort_keys=True).encode(), digest_size=16).hexdigest()
    return {**template, "_meta": {"gantry": digest}}


def mappings_of(kind: str, table: AttributeTable) -> dict[str, Any]:
    """The mappings of an index for the attributes in `table`, which are recorded in `_meta`."""
    added = [[a.tag, a.keyword, a.vr, a.level.value, a.creator] for a in table.added]
    meta = {"gantry": VERSION, "attributes": added}
    if kind in _BESIDE:
        return {"_meta": meta}
    level = _LEVEL[kind]
    properties = {"t": _terms(level, table)}
    if level is Level.STUDY:
        properties["p"] = _terms(Level.PATIENT, table, computed=False)
    return {"_meta": meta, "properties": properties}


def table_of(mappings: Mapping[str, Any]) -> AttributeTable:
    """The table for which an index with these mappings was made."""
    added = mappings.get("_meta", {}).get("attributes", ())
    return AttributeTable(Attribute(tag, keyword, vr, Level(level), creator=c) for tag, keyword, vr, level, c in added)


def _terms(level: Level, table: AttributeTable, *, computed: bool = True) -> dict[str, Any]:
    fields: dict[str, Any] = {"wide": _KEY, SOUNDS: _KEY}
    for attribute in searchable(level, table):
        if attribute.computed and not computed:
            continue
        whole = {"type": "keyword", "doc_values": False}
        fragments = {"type": "wildcard", "fields": {"exact": whole}}
        fields[attribute.keyword] = fragments if field_type(attribute) == "wildcard" else whole
    return {"type": "object", "dynamic": "strict", "properties": fields}

"""The tables of docs/conformance.md, made from what the code does. The prose around them is written by hand.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from pydicom.uid import UID

from gantry.common import errors
from gantry.common.commitment import wire
from gantry.common.config.settings import Settings
from gantry.common.dicom.encoding.charsets import DEFINED_TERMS
from gantry.common.dicom.query.attributes import ATTRIBUTES, UNIQUE_KEYS, Attribute, Level, keyword_of
from gantry.common.dicom.standard.sop_classes import (
    INSTANCE_AVAILABILITY_NOTIFICATION,
    MODALITY_PERFORMED_PROCEDURE_STEP,
    MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION,
    MODALITY_WORKLIST_FIND,
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    PATIENT_STUDY_ONLY_FIND,
    PATIENT_STUDY_ONLY_GET,
    PATIENT_STUDY_ONLY_MOVE,
    REPOSITORY_QUERY,
    RETIRED_STORAGE_SOP_CLASSES,
    STORAGE_COMMITMENT,
    STORAGE_SOP_CLASSES,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    UNIFIED_PROCEDURE_STEP_EVENT,
    VERIFICATION,
    class_in_words,
)
from gantry.common.dicom.standard.transfer_syntaxes import GE_PRIVATE, TRANSFER_SYNTAXES, encoding_of, name_of
from gantry.common.ids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gantry.common.orders import requirements
from gantry.common.statuses import WORDS
from gantry.common.web.capabilities import paths
from gantry.common.web.negotiation import DICOM, MULTIPART, Offer
from gantry.services.ingest.stow import handler as ingest_web
from gantry.services.ingest.stow.codestreams import TAKEN
from gantry.services.ingest.stow.frame_boundaries import MOST_FRAMES
from gantry.services.ingest.stow.metadata import MAX_METADATA
from gantry.services.orders.app import PERFORMED, WORKITEMS
from gantry.services.orders.app import TRANSFER_SYNTAXES as ORDERS_SYNTAXES
from gantry.services.query import qido as query_web
from gantry.services.query.app import TRANSFER_SYNTAXES as QUERY_SYNTAXES
from gantry.services.query.federation.walking import SYNTAXES as FEDERATION_SYNTAXES
from gantry.services.query.qido_parameters import MAX_LIMIT, MAX_OFFSET, RETURNED
from gantry.services.retrieve.dicomweb import bulk, documents, frames, video
from gantry.services.retrieve.dicomweb import objects as retrieve_web
from gantry.services.retrieve.dimse.contexts import UNCOMPRESSED, convertible
from gantry.services.retrieve.pixels.converter import ConverterLimits
from gantry.services.retrieve.pixels.frame_finder import MOST_LOOKED_AT
from gantry.services.retrieve.pixels.look import MOST_TIMES
from gantry.services.retrieve.routing.availability import SYNTAXES as NOTIFICATION_SYNTAXES
from gantry.services.retrieve.routing.priors import SYNTAXES as PRIOR_SYNTAXES
from gantry.services.retrieve.routing.step_delivery import SYNTAXES as STEP_SYNTAXES
from gantry.services.retrieve.routing.workitem_delivery import SYNTAXES as WORKITEM_SYNTAXES

_BLOCK = re.compile(r"(<!-- table: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

_SERVICES = (
    ("any", (VERIFICATION,), "SCP", None),
    ("query", (PATIENT_ROOT_FIND, STUDY_ROOT_FIND, PATIENT_STUDY_ONLY_FIND, REPOSITORY_QUERY), "SCP", QUERY_SYNTAXES),
    ("retrieve", (PATIENT_ROOT_MOVE, STUDY_ROOT_MOVE, PATIENT_STUDY_ONLY_MOVE), "SCP", UNCOMPRESSED),
    ("retrieve", (PATIENT_ROOT_GET, STUDY_ROOT_GET, PATIENT_STUDY_ONLY_GET), "SCP", UNCOMPRESSED),
    ("commitment", (STORAGE_COMMITMENT,), "SCP", wire.TRANSFER_SYNTAXES),
    ("retrieve", (STORAGE_COMMITMENT,), "SCU", wire.TRANSFER_SYNTAXES),
    ("retrieve", (STUDY_ROOT_FIND, STUDY_ROOT_MOVE, STUDY_ROOT_GET), "SCU", PRIOR_SYNTAXES),
    ("query", (STUDY_ROOT_FIND,), "SCU", FEDERATION_SYNTAXES),
    ("orders", (MODALITY_WORKLIST_FIND, *PERFORMED, *WORKITEMS), "SCP", ORDERS_SYNTAXES),
    ("retrieve", (UNIFIED_PROCEDURE_STEP_EVENT,), "SCP", WORKITEM_SYNTAXES),
    ("retrieve", (INSTANCE_AVAILABILITY_NOTIFICATION,), "SCU", NOTIFICATION_SYNTAXES),
    ("retrieve", (MODALITY_PERFORMED_PROCEDURE_STEP_NOTIFICATION,), "SCP", STEP_SYNTAXES),
    ("retrieve", (MODALITY_PERFORMED_PROCEDURE_STEP,), "SCU", STEP_SYNTAXES),
)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _implementation() -> str:
    dimse = Settings().dimse
    rows = [
        ("Application context name", "1.2.840.10008.3.1.1.1"),
        ("Implementation class UID", IMPLEMENTATION_CLASS_UID),
        ("Implementation version name", IMPLEMENTATION_VERSION_NAME),
        ("Maximum PDU length announced", f"{dimse.max_pdu} bytes (`dimse.max_pdu`)"),
        ("Associations at once, per process", f"{dimse.max_associations} (`dimse.max_associations`)"),
        ("Presentation contexts per association", f"{dimse.max_contexts} (`dimse.max_contexts`)"),
        ("Asynchronous operations window", f"up to {dimse.async_window} (`dimse.async_window`)"),
    ]
    return _table(("", "value"), rows)


def _services() -> str:
    rows = [
        (UID(uid).name, uid, service, role, "any" if syntaxes is None else "; ".join(UID(ts).name for ts in syntaxes))
        for service, uids, role, syntaxes in _SERVICES
        for uid in uids
    ]
    return _table(("SOP class", "UID", "service", "role", "transfer syntaxes"), rows)


def _storage() -> str:
    now = [(_class_name(uid), uid, "") for uid in STORAGE_SOP_CLASSES.values()]
    retired = [(_class_name(uid), uid, "yes") for uid in RETIRED_STORAGE_SOP_CLASSES.values()]
    return _table(("SOP class", "UID", "retired"), sorted(now + retired))


def _class_name(uid: str) -> str:
    """The standard's name; for a class that is newer than the dictionary at hand, its keyword in words."""
    name = UID(uid).name
    return name if name != uid else class_in_words(uid)


def _numbers(uid: str) -> list[int]:
    return [int(part) for part in uid.split(".")]


def _transfer_syntaxes() -> str:
    rows = []
    for uid in sorted((uid for uid in TRANSFER_SYNTAXES if uid != GE_PRIVATE), key=_numbers):
        encoding = encoding_of(uid)
        kind = "encapsulated" if encoding.encapsulated else "deflated" if encoding.deflated else "native"
        rows.append((name_of(uid), uid, kind, "yes" if convertible(uid) else "no"))
    return _table(("transfer syntax", "UID", "pixel data", "converted where the receiver does not take it"), rows)


def _key(attribute: Attribute) -> tuple[str, str, str, str, str]:
    tag = f"({attribute.tag >> 16:04X},{attribute.tag & 0xFFFF:04X})"
    kind = "unique" if attribute.tag in UNIQUE_KEYS.values() else "computed" if attribute.computed else "optional"
    return attribute.level.value, attribute.keyword, tag, attribute.vr, kind


def _query_keys() -> str:
    order = {level.value: level.depth for level in Level}
    rows = sorted(map(_key, ATTRIBUTES.values()), key=lambda row: (order[row[0]], row[4] != "unique", row[2]))
    return _table(("level", "attribute", "tag", "VR", "key"), rows)


def _performed_steps() -> str:
    needed = (
        ("N-CREATE", requirements.AT_CREATION),
        ("N-CREATE, in Scheduled Step Attributes Sequence", requirements.IN_SCHEDULED_STEP),
        ("in Performed Series Sequence", requirements.IN_SERIES),
        ("COMPLETED, DISCONTINUED", requirements.IN_FINAL_STATE),
    )
    rows = [(where, ", ".join(map(keyword_of, tags))) for where, tags in needed]
    fixed = ", ".join(map(keyword_of, sorted(requirements.NOT_TO_BE_SET)))
    return _table(("needed", "attributes"), [*rows, ("cannot be changed by N-SET", fixed)])


def _error_statuses() -> str:
    kinds = (
        errors.MismatchedDataSet,
        errors.NotUnderstood,
        errors.NotAuthorised,
        errors.TooLarge,
        errors.DependencyUnavailable,
        errors.QuotaReached,
        errors.NotFound,
        errors.GantryError,
    )
    rows = []
    for kind in kinds:
        meaning = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
        status = kind.dicom_status
        words = meaning if kind is not errors.GantryError else "Anything else that goes wrong on our side"
        rows.append((f"{status:04X}H", WORDS.get(status, ""), words))
    return _table(("status", "words", "when"), rows)


def _character_sets() -> str:
    return ", ".join(f"`{term}`" for term in DEFINED_TERMS) + "\n"


def _web_resources() -> str:
    rows = [(f"`/{path}`", *resource) for path, resources in paths() for resource in resources]
    return _table(("path", "method", "resource", "role"), rows)


def _web_returned() -> str:
    rows = [(level.value, ", ".join(sorted(map(keyword_of, RETURNED[level])))) for level in RETURNED]
    return _table(("level", "attributes returned without being asked for"), rows)


def _offered(offers: Iterable[Offer]) -> str:
    return ", ".join(
        f'`{MULTIPART}; type="{offer.type}"`' if offer.multipart else f"`{offer.type}`" for offer in offers
    )


def _web_representations() -> str:
    stored = [Offer(type_, multipart) for type_ in (DICOM, *ingest_web.METADATA) for multipart in (True, False)]
    rows = [
        ("STOW-RS", "request: objects, or metadata with bulk data", _offered(stored)),
        ("STOW-RS", "response", _offered(ingest_web.ANSWERS)),
        ("QIDO-RS", "matches", _offered(query_web.OFFERS)),
        ("WADO-RS", "study, series, instance", _offered(retrieve_web.OBJECTS)),
        ("WADO-RS", "metadata", _offered(retrieve_web.METADATA)),
        ("WADO-RS", "bulk data", _offered(bulk.BULK)),
        ("WADO-RS", "rendered, thumbnail", _offered(frames.PICTURES)),
        ("WADO-RS", "rendered: videos that are MP4 files", _offered([Offer(video.MP4)])),
        ("WADO-RS", "rendered: encapsulated documents", _offered(map(Offer, documents.ENCAPSULATED.values()))),
        ("WADO-RS", "rendered: structured reports", _offered(map(Offer, documents.REPORTS))),
    ]
    return _table(("service", "of", "media types, the default first"), rows)


def _web_bulk() -> str:
    rows = [(name_of(uid), uid) for uid in TAKEN]
    return _table(("transfer syntax that an instance gets from its pixel data", "UID"), rows)


def _web_limits() -> str:
    http, conversion = Settings().http, ConverterLimits()
    jobs = conversion.pool
    rows = [
        ("Connections at once, per process", f"{http.max_connections} (`http.max_connections`)"),
        ("Request line, and a header field", f"{http.max_header} bytes (`http.max_header`)"),
        ("Until a request header is whole", f"{http.header_deadline:g} s (`http.header_deadline`)"),
        ("A body that stands still", f"{http.stall:g} s (`http.stall`)"),
        ("Parts of a STOW-RS request", str(ingest_web.MAX_PARTS)),
        ("Metadata of a STOW-RS request", f"{MAX_METADATA} bytes"),
        ("An object, and the bulk data of a request", f"{Settings().dimse.max_object} bytes (`dimse.max_object`)"),
        ("Compressed frames of one bulk value", str(MOST_FRAMES)),
        ("Matches of one QIDO-RS response", str(MAX_LIMIT)),
        ("`offset` of QIDO-RS", str(MAX_OFFSET)),
        ("Fragments that are looked at where an offset table is of no use", str(MOST_LOOKED_AT)),
        ("A picture, in each direction", f"{MOST_TIMES} times what it shows of an image"),
        (
            "Decoding or showing a frame",
            f"{jobs.deadline:g} s, twice; {jobs.memory >> 30} GiB of memory; {conversion.workers} at once",
        ),
        (
            "Frames that wait for that",
            f"{jobs.most_waiting}, {jobs.most_waiting_of_one} of one client, {jobs.patience:g} s each",
        ),
        ("What is decoded and not yet taken", f"{conversion.spooled >> 30} GiB in temporary files"),
    ]
    return _table(("limit", "value"), rows)


def _web_media_types() -> str:
    rows = [(row.name, row.uid, row.media_type) for row in TRANSFER_SYNTAXES.values() if row.media_type]
    return _table(("transfer syntax", "UID", "media type of a frame, besides application/octet-stream"), rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "implementation": _implementation,
    "services": _services,
    "storage": _storage,
    "transfer-syntaxes": _transfer_syntaxes,
    "query-keys": _query_keys,
    "performed-steps": _performed_steps,
    "error-statuses": _error_statuses,
    "character-sets": _character_sets,
    "web-resources": _web_resources,
    "web-representations": _web_representations,
    "web-bulk": _web_bulk,
    "web-limits": _web_limits,
    "web-returned": _web_returned,
    "web-media-types": _web_media_types,
}


def filled(document: str) -> str:
    """The document with its tables made anew. A table that nobody makes, or that is not there, raises."""
    missing = set(TABLES) - {match["name"] for match in _BLOCK.finditer(document)}
    if missing:
        raise LookupError(f"docs/conformance.md has no place for {', '.join(sorted(missing))}")
    return _BLOCK.sub(lambda match: f"{match[1]}{TABLES[match['name']]()}{match[3]}", document)

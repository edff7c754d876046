"""Objects that were received, and what is decided about them."""

from __future__ import annotations

from dataclasses import dataclass, field

from gantry.common.dicom.scan.layout import BulkElement, PixelData
from gantry.common.events.schema.fields import OMITTED


@dataclass(frozen=True, slots=True)
class InstanceStored:
    """An object's bytes are durable in the object store.

    `digest` is `blake3:<hex>` over the data set bytes exactly as received (without Part 10 preamble and file meta).
    `header` is the data set up to the pixel data, in the encoding of the transfer syntax (inflated where that is
    deflated), less the values named in `bulk`; None when it is larger than the limit for events: then the object's own
    first `header_length` bytes of data set are the reference (claim check).
    `coercion` is what rules changed on the way in (`gantry.common.lifecycle.Coercion`, packed), b"" for nothing; None
    where it was taken out together with the header: then it is in the object's own file meta information.
    """

    partition: str
    trace: str
    receipt: str
    stored_at: int
    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    object_key: str
    object_size: int
    data_set_offset: int
    data_set_length: int
    digest: str
    header: bytes | None
    header_length: int
    bulk: tuple[BulkElement, ...] = ()
    pixel_data: PixelData | None = None
    calling_ae_title: str = ""
    called_ae_title: str = ""
    peer_address: str = ""
    coercion: bytes | None = field(default=b"", metadata=OMITTED)


@dataclass(frozen=True, slots=True)
class ObjectLost:
    """The object of a receipt was found missing or damaged (`reason`), by a role or command of ours (`found_by`).
    Another receipt of the same bytes is read in its place where there is one."""

    partition: str
    trace: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    receipt: str
    object_key: str
    reason: str
    found_by: str
    found_at: int


@dataclass(frozen=True, slots=True)
class NamesakeFound:
    """The SOP Instance UID of an instance is also that of another one, in another series: both can be found."""

    partition: str
    trace: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    receipt: str
    digest: str
    other_study_instance_uid: str
    other_series_instance_uid: str
    other_receipt: str
    other_digest: str
    found_at: int
    calling_ae_title: str = ""


@dataclass(frozen=True, slots=True)
class InstanceConflictFound:
    """An instance came again with other bytes: `kept` stays current, `aside` is kept beside it."""

    partition: str
    trace: str
    study_instance_uid: str
    sop_instance_uid: str
    kept_receipt: str
    kept_digest: str
    aside_receipt: str
    aside_digest: str
    found_at: int
    calling_ae_title: str = ""


@dataclass(frozen=True, slots=True)
class ReceiptReference:
    """One receipt of one instance of a study."""

    series_instance_uid: str
    sop_instance_uid: str
    receipt: str


@dataclass(frozen=True, slots=True)
class InstancesDeleted:
    """These receipts were deleted by a person or a rule (`by`), for `reason`. `deletion` names the deletion: it can be
    withdrawn until its objects are collected, unless it is `final`. Of one that is `kept` (a rejection) objects are
    never collected. `code` is that of the rejection note (PS3.16 CID 7011); "" for what no note did."""

    partition: str
    trace: str
    study_instance_uid: str
    deletion: str
    receipts: tuple[ReceiptReference, ...]
    reason: str
    by: str
    at: int
    final: bool = False
    kept: bool = False
    code: str = field(default="", metadata=OMITTED)


@dataclass(frozen=True, slots=True)
class InstancesRestored:
    """`deletions` are withdrawn, as far as they are about these receipts."""

    partition: str
    trace: str
    study_instance_uid: str
    deletions: tuple[str, ...]
    receipts: tuple[ReceiptReference, ...]
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class InstancesMoved:
    """These receipts of one series belong to the series `into_series` of the study `into_study` from now on, as
    receipts that follow from them (`gantry.common.lifecycle.successor`); their objects stay where they are. `move`
    names the move, and the values that make their headers those of that study (`Receipt.values_key`)."""

    partition: str
    trace: str
    study_instance_uid: str
    move: str
    receipts: tuple[ReceiptReference, ...]
    into_study: str
    into_series: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class InstancesMovedBack:
    """The move is withdrawn: these receipts are what they were before."""

    partition: str
    trace: str
    study_instance_uid: str
    move: str
    receipts: tuple[ReceiptReference, ...]
    into_study: str
    into_series: str
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class ObjectsCollected:
    """The certificate: the objects of these receipts are no longer in the object store. `digests` are theirs, in the
    same order; "" where it was not known."""

    partition: str
    trace: str
    study_instance_uid: str
    receipts: tuple[ReceiptReference, ...]
    digests: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True)
class ObjectsRelocated:
    """The objects of these receipts lie in the object store that the settings call `store` ("hot": the first one) since
    `at`: whole copies, read again there. The copies that they leave are removed later; until then both are there."""

    partition: str
    trace: str
    study_instance_uid: str
    receipts: tuple[ReceiptReference, ...]
    store: str
    at: int

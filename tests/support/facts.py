"""Events for tests; the arguments are the values that matter to a test."""

from __future__ import annotations

from gantry.common.events import (
    CommitmentReference,
    CommitmentReported,
    CommitmentRequested,
    InstanceConflictFound,
    InstanceStored,
)


def stored(number: int, study: str = "1.2.3") -> InstanceStored:
    return InstanceStored(
        partition="default",
        trace="",
        receipt=f"{number:032x}",
        stored_at=number,
        study_instance_uid=study,
        series_instance_uid=f"{study}.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        sop_instance_uid=f"{study}.1.{number}",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        object_key=f"objects/default/0000000/{number:032x}.dcm",
        object_size=1000,
        data_set_offset=300,
        data_set_length=700,
        digest="blake3:00",
        header=b"header",
        header_length=700,
    )


def conflict(number: int, study: str = "1.2.3") -> InstanceConflictFound:
    return InstanceConflictFound("default", "", study, f"{study}.1.{number}", "0" * 32, "a", "1" * 32, "b", number)


def requested(transaction: str, references: tuple[CommitmentReference, ...] = ()) -> CommitmentRequested:
    return CommitmentRequested("default", "", transaction, 1, "MODALITY", "GANTRY", "127.0.0.1", references)


def reported(transaction: str, delivered: bool = True) -> CommitmentReported:
    return CommitmentReported("default", "", transaction, "MODALITY", 2, delivered)

"""Performed procedure steps (MPPS)."""

from __future__ import annotations

from dataclasses import dataclass, field

from gantry.common.events.schema.fields import OMITTED


@dataclass(frozen=True, slots=True)
class ProcedureStepErased:
    """All that was said of a performed procedure step is erased, for `reason`: one that belongs to no order."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    reason: str


@dataclass(frozen=True, slots=True)
class ProcedureStepCreated:
    """A modality began a performed procedure step (N-CREATE, PS3.4 F.7.2.1); `attributes` as in `OrderPlaced`."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    attributes: bytes
    values_key: str = field(default="", metadata=OMITTED)
    values_size: int = field(default=0, metadata=OMITTED)
    values_digest: str = field(default="", metadata=OMITTED)


@dataclass(frozen=True, slots=True)
class ProcedureStepSet:
    """A modality set attributes of a performed procedure step (N-SET, PS3.4 F.7.2.2)."""

    partition: str
    trace: str
    sop_instance_uid: str
    change: str
    source: str
    message: str
    at: int
    attributes: bytes
    values_key: str = field(default="", metadata=OMITTED)
    values_size: int = field(default=0, metadata=OMITTED)
    values_digest: str = field(default="", metadata=OMITTED)

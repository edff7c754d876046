"""The records of studies, series and instances in an inventory. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Values = Mapping[int, Sequence[Any]]
"""Values by tag, as in the DICOM JSON model (PS3.18 F.2)."""


class InventoryLevel(Enum):
    """How deep an inventory goes: Inventory Level (0008,0403)."""

    STUDY = "STUDY"
    SERIES = "SERIES"
    INSTANCE = "INSTANCE"


@dataclass(frozen=True, slots=True)
class InventoriedInstance:
    """An instance. `key` is its object's name below the Stored Instance Base URI, "" if not given, and `file_length`
    the length of that Part 10 file in bytes; `transfer_syntax_uid` is the stored one."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str = ""
    key: str = ""
    file_length: int = 0


@dataclass(frozen=True, slots=True)
class InventoriedSeries:
    """A series, with its instances if the inventory has this level."""

    uid: str
    attributes: Values = field(default_factory=dict)
    instances: tuple[InventoriedInstance, ...] = ()


@dataclass(frozen=True, slots=True)
class InventoriedStudy:
    """A study as it was at `moment` (DT): its attributes, those of its patient, and its series if the inventory has
    this level."""

    uid: str
    moment: str
    attributes: Values = field(default_factory=dict)
    series: tuple[InventoriedSeries, ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """The scope of an inventory. `began` is a date (DA) and a time (TM), in the writer's own zone. `conditions` are the
    values, by tag, that studies had to match; none for all studies (PS3.3 C.38.2.1). `retrieve_url` and `base_uri` are
    where studies and files can be fetched, "" if not stated."""

    level: InventoryLevel
    began: tuple[str, str]
    purpose: str = ""
    conditions: Values = field(default_factory=dict)
    retrieve_url: str = ""
    base_uri: str = ""

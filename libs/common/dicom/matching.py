"""Queries, documents, and the reference matcher: PS3.4 C.2.2.2 as pure functions.

The types are fixed here; every index backend answers as `matches` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Level(Enum):
    """Query/Retrieve levels (PS3.4 C.3), from the root down."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


@dataclass(frozen=True, slots=True)
class Single:
    """Single value matching (C.2.2.2.1) of one or, for a multi-valued key, any of several values (C.2.2.2.8)."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UidList:
    """List of UID matching (C.2.2.2.2)."""

    uids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wildcard:
    """Wildcard matching (C.2.2.2.4) with * and ?; any of several patterns."""

    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """Range matching (C.2.2.2.5), both ends included; None is open. `first` and `last` are DA, TM or DT values. Where
    `time_tag` is given, date and time are matched as one moment (combined date-time matching)."""

    first: str | None
    last: str | None
    time_tag: int | None = None
    first_time: str | None = None
    last_time: str | None = None


Condition = Single | UidList | Wildcard | Range


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for: conditions by tag (universal matching, C.2.2.2.3, has none). `limit` bounds the matches."""

    partition: str
    level: Level
    conditions: Mapping[int, Condition] = field(default_factory=dict)
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """One patient, study, series or instance: tags of its level and the levels above, values as in DICOM JSON."""

    level: Level
    attributes: Mapping[int, Any]

"""Who came by a link: what a browser keeps of it, and what is seen. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gantry.common.access.identity import Identity, Means
from gantry.common.access.sight import Sight
from gantry.common.dicom.query.matching import UidList
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID

NAME = "share link "
"""Begins the name of whoever came by a link. No token and no issuer gives a name with a space before its end."""


def visitor(share: str) -> Identity:
    """Whoever came by a link."""
    return Identity(share, f"{NAME}{share}", Means.SHARE)


@dataclass(frozen=True, slots=True)
class Shown:
    """What is seen by a link now; `download`: whole objects may be taken away. `copies_of` are the studies of the
    archive by the UIDs under which they are seen, where those are others: copies, `deidentified_by` a profile."""

    sight: Sight
    download: bool
    copies_of: Mapping[str, str] = field(default_factory=dict)
    deidentified_by: str = ""


def sight_of_share(studies: Iterable[str], copies: str = "") -> Sight:
    """What is seen by a link; `copies`: the copies that were made for the link of this name."""
    return Sight(({STUDY_INSTANCE_UID: UidList(tuple(studies))},), copies)


@dataclass(frozen=True, slots=True)
class Pass:
    """What a browser keeps, sealed, once a link let it in. `until` is in seconds since the epoch."""

    share: str
    opening: str
    until: float


def of_pass(one: Pass) -> Mapping[str, Any]:
    """A pass as JSON has it."""
    return {name: getattr(one, name) for name in Pass.__slots__}


def pass_of(content: Mapping[str, Any]) -> Pass | None:
    """What `of_pass` wrote; None for what another release wrote."""
    try:
        return Pass(str(content["share"]), str(content["opening"]), float(content["until"]))
    except (KeyError, ValueError, TypeError):
        return None

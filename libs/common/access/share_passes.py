"""Visitors of a link: what their browser stores, and what they see. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gantry.common.access.identity import Identity, Means
from gantry.common.access.sight import Sight
from gantry.common.dicom.query.matching import UidList
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID

NAME = "share link "
"""Prefix of a visitor's name. Names from tokens and issuers have no inner space."""


def visitor(share: str) -> Identity:
    """The identity of a visitor of a link."""
    return Identity(share, f"{NAME}{share}", Means.SHARE)


@dataclass(frozen=True, slots=True)
class SharedView:
    """What a link shows now; `download`: whole objects may be downloaded. `copies_of` maps the shown UIDs to the
    studies of the archive if they differ: copies, `deidentified_by` a profile."""

    sight: Sight
    download: bool
    copies_of: Mapping[str, str] = field(default_factory=dict)
    deidentified_by: str = ""


def sight_of_share(studies: Iterable[str], copies: str = "") -> Sight:
    """What a link shows; `copies`: the copies that were made for the link of this name."""
    return Sight(({STUDY_INSTANCE_UID: UidList(tuple(studies))},), copies)


@dataclass(frozen=True, slots=True)
class SharePass:
    """What the browser of an admitted visitor stores, sealed. `until` is in seconds since the epoch."""

    share: str
    opening: str
    until: float


def of_pass(share_pass: SharePass) -> Mapping[str, Any]:
    """A pass as JSON."""
    return {name: getattr(share_pass, name) for name in SharePass.__slots__}


def pass_of(content: Mapping[str, Any]) -> SharePass | None:
    """What `of_pass` wrote; None for what another release wrote."""
    try:
        return SharePass(str(content["share"]), str(content["opening"]), float(content["until"]))
    except (KeyError, ValueError, TypeError):
        return None

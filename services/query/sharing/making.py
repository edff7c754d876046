"""Makes links: the event, and the token that only the answer has."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_bytes, token_hex
from typing import Any

from gantry.common.access.asked_shares import LONGEST_REASON, AskedShare, password_bytes
from gantry.common.access.shares import TOKEN_BYTES, Share, ShareRefusal, Shares, digest_of, token_of
from gantry.common.access.user_file import hashed
from gantry.common.deidentify.options import Option
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import NotFound, NotUnderstood
from gantry.common.events import ShareCreated, ShareRevoked
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.index import ReadIndex
from gantry.common.runtime.deidentification_profiles import Profiles


@dataclass(frozen=True, slots=True)
class MadeShare:
    """A link. Its token is not stored anywhere."""

    created: ShareCreated
    token: str


async def made(
    terms: AskedShare, index: ReadIndex, by: str, trace: str, now: int, profiles: Profiles | None = None
) -> MadeShare:
    """A link to studies that are stored, or to de-identified copies of them; its event is still to be published. Raises
    `NotFound` if a study is missing, `NotUnderstood` for a profile that is not for sharing, `DependencyUnavailable`."""
    studies, copies_of = _shown_as(terms, profiles or Profiles())
    for study in terms.studies:
        if not await _is_there(index, study):
            raise NotFound("not every study of the list is there")
    token = token_of(token_bytes(TOKEN_BYTES))
    password = password_bytes(terms.password)
    password_hash = await asyncio.to_thread(hashed, password, token_bytes(16)) if password else ""
    created = ShareCreated(
        DEFAULT_PARTITION,
        trace,
        token_hex(8),
        digest_of(token),
        studies,
        terms.expires_at,
        terms.openings,
        password_hash,
        terms.download,
        terms.reason,
        by,
        now,
        terms.deidentify,
        copies_of,
    )
    return MadeShare(created, token)


def _shown_as(terms: AskedShare, profiles: Profiles) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The studies as visitors see them, and those of the archive if these differ."""
    if not terms.deidentify:
        return terms.studies, ()
    deidentifier = profiles.known.get(terms.deidentify)
    if deidentifier is None:
        raise NotUnderstood("deidentify: no profile of deidentification.profiles has this name")
    if terms.deidentify not in sharing_profiles(profiles):
        raise NotUnderstood("deidentify: this profile keeps UIDs, which visitors would see")
    return tuple(map(deidentifier.pseudonyms.uid, terms.studies)), terms.studies


def sharing_profiles(profiles: Profiles) -> list[str]:
    """The names of the profiles that links may use."""
    return sorted(
        name for name, deidentifier in profiles.known.items() if Option.UIDS not in deidentifier.profile.options
    )


def revoked(
    shares: Shares, name: str, by: str, why: str, trace: str, now: int, *, of_anyone: bool
) -> ShareRevoked | None:
    """The event that revokes a link; None if the link has ended already. `of_anyone`: not only links that `by` made.
    Raises `NotFound` if there is no such link, `NotUnderstood` for a reason that is not one line of text."""
    if len(why) > LONGEST_REASON or not why.isprintable():
        raise NotUnderstood(f"reason: one line of at most {LONGEST_REASON} characters")
    share = shares.named(name)
    if share is None or share.created is None or not (of_anyone or share.created.by == by):
        raise NotFound("no such link")
    return None if share.revoked_at else ShareRevoked(DEFAULT_PARTITION, trace, name, why, by, now)


def shown(share: Share, now: int) -> dict[str, Any]:
    """A link as its owner and operators see it: without its token and its password."""
    made_ = share.created
    assert made_ is not None
    refusal = share.refusal(now)
    if refusal is None and made_.password and share.waits_for(now):
        refusal = ShareRefusal.WAITING
    return {
        "share": made_.share,
        "studies": list(made_.copies_of or made_.studies),
        "reason": made_.reason,
        "by": made_.by,
        "created": time_of(made_.at),
        "expires": time_of(made_.expires_at),
        "password": bool(made_.password),
        "download": made_.download,
        "openings": made_.openings or None,
        "opened": len(share.openings),
        "wrongPasswords": len(share.tries),
        "deidentifiedBy": made_.deidentified_by or None,
        "copied": None if share.copied is None else share.copied.instances,
        "withheld": [] if share.copied is None else list(share.copied.reasons),
        "state": "open" if refusal is None else refusal.value,
    }


def time_of(at_us: int) -> str:
    """RFC 3339, to the second."""
    return f"{datetime.fromtimestamp(at_us // 1_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}"


async def _is_there(index: ReadIndex, study: str) -> bool:
    query = Query(DEFAULT_PARTITION, Level.STUDY, {STUDY_INSTANCE_UID: Single((study,))}, limit=1)
    async for page in index.find(query):
        if page:
            return True
    return False

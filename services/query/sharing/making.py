"""A link is made: what is told of it, and the token that only the answer has."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_bytes, token_hex
from typing import Any

from gantry.common.access.asked_shares import LONGEST_REASON, AskedShare, password_bytes
from gantry.common.access.shares import TOKEN_BYTES, Refusal, Share, Shares, digest_of, token_of
from gantry.common.access.user_file import hashed
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Query, Single
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import NotFound, NotUnderstood
from gantry.common.events import ShareCreated, ShareRevoked
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.index import ReadIndex


@dataclass(frozen=True, slots=True)
class MadeShare:
    """A link. Its token is nowhere else."""

    created: ShareCreated
    token: str


async def made(asked: AskedShare, index: ReadIndex, by: str, trace: str, now: int) -> MadeShare:
    """A link to studies that are there, which is still to be told. Raises `NotFound` where one is not,
    `DependencyUnavailable`."""
    for study in asked.studies:
        if not await _is_there(index, study):
            raise NotFound("not every study of the list is there")
    token = token_of(token_bytes(TOKEN_BYTES))
    password = password_bytes(asked.password)
    kept = await asyncio.to_thread(hashed, password, token_bytes(16)) if password else ""
    created = ShareCreated(
        DEFAULT_PARTITION,
        trace,
        token_hex(8),
        digest_of(token),
        asked.studies,
        asked.expires_at,
        asked.openings,
        kept,
        asked.download,
        asked.reason,
        by,
        now,
    )
    return MadeShare(created, token)


def revoked(shares: Shares, name: str, by: str, why: str, trace: str, now: int, *, any_: bool) -> ShareRevoked | None:
    """That a link is taken back; None where it is over already. `any_`: not only those that `by` made. Raises
    `NotFound` where there is none, `NotUnderstood` for a reason that is no line of text."""
    if len(why) > LONGEST_REASON or not why.isprintable():
        raise NotUnderstood(f"reason: one line of at most {LONGEST_REASON} characters")
    share = shares.named(name)
    if share is None or share.created is None or not (any_ or share.created.by == by):
        raise NotFound("no such link")
    return None if share.revoked_at else ShareRevoked(DEFAULT_PARTITION, trace, name, why, by, now)


def shown(share: Share, now: int) -> dict[str, Any]:
    """What is said of a link to those who look after it: neither its token nor its password."""
    made_ = share.created
    assert made_ is not None
    refusal = share.refusal(now)
    if refusal is None and made_.password and share.waits_for(now):
        refusal = Refusal.WAITING
    return {
        "share": made_.share,
        "studies": list(made_.studies),
        "reason": made_.reason,
        "by": made_.by,
        "created": time_of(made_.at),
        "expires": time_of(made_.expires_at),
        "password": bool(made_.password),
        "download": made_.download,
        "openings": made_.openings or None,
        "opened": len(share.openings),
        "wrongPasswords": len(share.tries),
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

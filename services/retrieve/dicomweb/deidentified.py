"""De-identified copies of a study as a ZIP file, made while it is sent: an extension to DICOMweb.

GET /dicom-web/studies/1.2.3/deidentified?profile=teaching&reason=autumn+course

The profile is one of the settings, as for links and routes; the caller must have permission to share. Objects are
de-identified one after the other in worker processes, and no byte of one leaves before it is whole. What cannot be
de-identified is left out; README.TXT, the last file, says how many and why.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing, suppress

from aiohttp import web

from gantry.common.access import Verb
from gantry.common.amounts import counted
from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.errors import GantryError, NotDeidentified
from gantry.common.ports.index import Location
from gantry.common.runtime.deidentification_profiles import Profiles
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.web.bodies import BodyWriter
from gantry.common.web.callers import may, reason_of
from gantry.common.web.deidentified_for import DEIDENTIFIED_FOR, DeidentifiedFor
from gantry.common.web.errors import RETRY_AFTER_SECONDS, HttpProblem
from gantry.common.web.negotiation import ZIP
from gantry.common.web.routes import Match, Resource
from gantry.common.web.server import Handler
from gantry.services.retrieve.budget import Unavailable
from gantry.services.retrieve.damage import Damaged
from gantry.services.retrieve.deidentifying.objects import Deidentification, Deidentifying
from gantry.services.retrieve.dicomweb.objects import InstanceFinder
from gantry.services.retrieve.dicomweb.zip_stream import ZipStream
from gantry.services.retrieve.opening import Opened, Openings
from gantry.services.retrieve.pixels.converter import ConversionFailed
from gantry.services.retrieve.threads import give_way

MOST_INSTANCES = 20_000
"""The same limit as for a link; `gantry export` takes more."""
AT_ONCE = 2
"""Concurrent downloads of one process."""
_CHUNK = 1 << 18
_MOST_REASONS = 20
_NOT_HERE = "nothing can be de-identified here: deidentification.profiles is not set (docs/deidentification.md)"
logger = get_logger("retrieve")


class DeidentifiedService:
    """The handler of `Resource.DEIDENTIFIED`."""

    def __init__(
        self,
        finder: InstanceFinder,
        openings: Openings,
        profiles: Profiles,
        deidentification: Deidentification,
        metrics: Metrics,
        may_share: Collection[str],
        stall: float,
    ) -> None:
        """`may_share` are the names of tokens, and `LOOPBACK`; a client may take nothing for `stall` seconds."""
        self._finder = finder
        self._openings = openings
        self._profiles = profiles
        self._deidentification = deidentification
        self._metrics = metrics
        self._may_share = frozenset(may_share)
        self._stall = stall
        self._under_way = 0

    def handlers(self) -> dict[Resource, Handler]:
        """For the HTTP server."""
        return {Resource.DEIDENTIFIED: self.of}

    async def of(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """200 with the objects that can be de-identified; 409 if there are none, or too many."""
        through = self._through(request)
        if self._under_way >= AT_ONCE:
            later = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            raise HttpProblem(503, f"{AT_ONCE} downloads are being de-identified here: try again later", later)
        self._under_way += 1
        try:
            locations = await self._finder.all(match, MOST_INSTANCES + 1)
            if len(locations) > MOST_INSTANCES:
                words = f"the study has more than {MOST_INSTANCES} instances: `gantry export --deidentify` takes them"
                raise HttpProblem(409, words)
            return await self._send(request, locations, through)
        finally:
            self._under_way -= 1

    def _through(self, request: web.BaseRequest) -> Deidentifying:
        """The profile to use; the request notes it for the record. Raises `HttpProblem`."""
        if not may(request, Verb.SHARE, self._may_share):
            raise HttpProblem(403, "this caller may not share; http.may_share names those that may")
        if not self._profiles.known:
            raise HttpProblem(501, _NOT_HERE)
        name, reason = request.query.get("profile", ""), reason_of(request)
        if name not in self._profiles.known:
            raise HttpProblem(400, f"profile: one of {', '.join(sorted(self._profiles.known))}")
        if not reason:
            raise HttpProblem(400, "reason: say for whom, and what for; no patient's name belongs in it")
        request[DEIDENTIFIED_FOR] = DeidentifiedFor(name, reason)
        return Deidentifying(name, self._profiles.known[name], self._deidentification)

    async def _send(
        self, request: web.BaseRequest, locations: Sequence[Location], through: Deidentifying
    ) -> web.StreamResponse:
        withheld: Counter[str] = Counter()
        out, archive, sent = BodyWriter(request, self._stall), ZipStream(), 0
        headers = {
            "Content-Type": ZIP,
            "Content-Disposition": 'attachment; filename="deidentified.zip"',
            "Cache-Control": "no-store",
        }
        try:
            async with aclosing(self._made(locations, through, request.remote or "", withheld)) as objects:
                async for opened in objects:
                    # The first one is whole before the head is sent, so that a fault can still be reported.
                    if not sent and not await out.begin(200, headers):
                        return await out.end()
                    await _put(archive, out, opened, through)
                    sent += 1
            if not sent:
                raise HttpProblem(409, f"nothing of it can be de-identified: {'; '.join(_reasons(withheld))}")
            readme = _readme(through.profile, sent, withheld)
            with archive.begin("README.TXT", len(readme)) as file:
                file.write(readme)
            archive.end()
            await out.write(archive.take())
        except GantryError as error:
            if sent:
                logger.error("a download of de-identified copies broke off", error=error)
                out.cut()
                raise ConnectionResetError("the download broke off") from error
            raise
        finally:
            self._metrics.deidentified_downloads.labels("sent").inc(sent)
            self._metrics.deidentified_downloads.labels("withheld").inc(withheld.total())
        logger.info(
            "de-identified copies were downloaded", profile=through.profile, copies=sent, withheld=withheld.total()
        )
        return await out.end()

    async def _made(
        self, locations: Sequence[Location], through: Deidentifying, client: str, withheld: Counter[str]
    ) -> AsyncGenerator[Opened, None]:
        """The copies in order; the next one is made while one is being sent."""
        ahead: asyncio.Task[Opened | None] | None = None
        try:
            for number, location in enumerate(locations):
                making, ahead = ahead, None
                try:
                    opened = await (making or self._open_deidentified(location, through, client, withheld))
                except Unavailable:
                    if making is None:
                        raise
                    # There was no room for it ahead of its turn; now its turn has come.
                    opened = await self._open_deidentified(location, through, client, withheld)
                if number + 1 < len(locations):
                    following = locations[number + 1]
                    ahead = asyncio.ensure_future(
                        self._open_deidentified(following, through, client, withheld, ahead=True)
                    )
                if opened is None:
                    continue
                try:
                    yield opened
                finally:
                    await opened.source.close()
        finally:
            if ahead is not None:
                ahead.cancel()
                with suppress(asyncio.CancelledError, GantryError):
                    left = await ahead
                    if left is not None:
                        await left.source.close()

    async def _open_deidentified(
        self, location: Location, through: Deidentifying, client: str, withheld: Counter[str], *, ahead: bool = False
    ) -> Opened | None:
        """The de-identified data set, or None if it must not be sent."""
        try:
            opened = await self._openings.data_set(location, location.transfer_syntax_uid, client, ahead=ahead)
            return await through.deidentified(opened, client, ahead=ahead)
        except (NotDeidentified, ConversionFailed) as error:
            withheld[str(error)] += 1
        except Damaged:
            withheld["it is lost or damaged"] += 1
        return None


async def _put(archive: ZipStream, out: BodyWriter, opened: Opened, through: Deidentifying) -> None:
    """One copy as a file of the archive, named by its pseudonyms. Raises `GantryError` if it is shorter than it was."""
    location = opened.location
    study, series, uid = map(
        through.uid, (location.study_instance_uid, location.series_instance_uid, location.sop_instance_uid)
    )
    meta = file_meta(location.sop_class_uid, uid, opened.syntax)
    with archive.begin(f"{study}/{series}/{uid}.dcm", len(meta) + opened.size) as file:
        file.write(meta)
        buffer, left = memoryview(bytearray(min(_CHUNK, opened.size or 1))), opened.size
        while left:
            count = await opened.source.readinto([buffer[: min(len(buffer), left)]])
            if not count:
                raise GantryError("a de-identified object is shorter than it was")
            left -= count
            file.write(buffer[:count])
            await out.write(archive.take())
            await give_way()


def _reasons(withheld: Counter[str]) -> list[str]:
    return [f"{count} withheld: {reason}" for reason, count in withheld.most_common(_MOST_REASONS)]


def _readme(profile: str, sent: int, withheld: Counter[str]) -> bytes:
    lines = [
        f"De-identified copies by the profile {profile} (PS3.15 Annex E): {counted(sent, 'object')}.",
        *(_reasons(withheld) or ["Nothing was withheld."]),
        "Nobody looked at pixels. Look at what you give away before you do.",
    ]
    return "\r\n".join((*lines, "")).encode()

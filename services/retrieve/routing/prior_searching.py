"""C-FIND at the archive that is asked for priors (PS3.4 C.4.1), at each level of the Study Root."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gantry.common.dicom.query.identifiers import decode_identifier, encode_identifier
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND
from gantry.common.dicom.standard.tags import (
    BODY_PART_EXAMINED,
    QUERY_RETRIEVE_LEVEL,
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
)
from gantry.common.errors import GantryError, PeerError
from gantry.common.events import RouteRequested
from gantry.common.ids import is_uid
from gantry.common.net import Association, Peer, scu
from gantry.common.statuses import SUCCESS, is_pending, status_words
from gantry.services.retrieve.routing.priors import Answer

_MOST_ANSWERS = 5_000
"""Most studies of one patient, or series of a study, that are considered."""
_MOST_INSTANCES = 50_000
"""Most instances of one series that are considered; others are not requested."""

Audit = Callable[[tuple[str, str], str, bytes, str], None]
"""AE title and host of the archive, trace, identifier of the C-FIND, and why it failed."""


class PriorsRefused(PeerError):
    """The other archive answered with a failure."""


class PriorSearch:
    """The queries of one route on one association, in a context for Study Root FIND."""

    def __init__(
        self, association: Association, route: RouteRequested, peer: Peer, timeout: float, audit: Audit
    ) -> None:
        """`timeout` of each response in seconds. `audit` is called for each query."""
        self._association = association
        self._route = route
        self._peer = peer
        self._timeout = timeout
        self._audit = audit

    async def matches(self, identifier: Mapping[int, Sequence[str]], most: int = _MOST_ANSWERS) -> list[Answer]:
        """The first `most` matches. Raises `PriorsRefused`, and any other `GantryError` of the network or of its
        answers."""
        context = scu.need_context(self._association, STUDY_ROOT_FIND)
        keys = encode_identifier({tag: list(values) for tag, values in identifier.items()}, context.transfer_syntax)
        answers: list[Answer] = []
        why = ""
        try:
            async for command, data in scu.find(self._association, STUDY_ROOT_FIND, keys, timeout=self._timeout):
                if is_pending(command.status):
                    if len(answers) < most:
                        answers.append(decode_identifier(data, context.transfer_syntax).keys)
                elif command.status != SUCCESS:
                    raise PriorsRefused(f"answered {status_words(command.status)} to C-FIND")
        except GantryError as error:
            why = str(error)
            raise
        finally:
            self._audit((self._route.destination, self._peer.host), self._route.trace, keys, why)
        return answers

    async def body_parts(self, study: str) -> frozenset[str]:
        """The body parts of the series of a study, in capitals: the attribute is one of the series (PS3.3 C.7.3.1)."""
        answers = await self.matches(
            {
                QUERY_RETRIEVE_LEVEL: ["SERIES"],
                STUDY_INSTANCE_UID: [study],
                SERIES_INSTANCE_UID: [],
                BODY_PART_EXAMINED: [],
            }
        )
        parts = (value.strip().upper() for answer in answers for value in answer.get(BODY_PART_EXAMINED, ()))
        return frozenset(parts) - {""}

    async def instances(self, study: str) -> dict[str, tuple[str, str]]:
        """The instances of a study, each with its series and SOP class ("" if not stated)."""
        above = {STUDY_INSTANCE_UID: [study]}
        images: dict[str, tuple[str, str]] = {}
        for series in await self.matches({QUERY_RETRIEVE_LEVEL: ["SERIES"], **above, SERIES_INSTANCE_UID: []}):
            uid = value_of(series, SERIES_INSTANCE_UID)
            if not is_uid(uid):
                continue
            keys = {QUERY_RETRIEVE_LEVEL: ["IMAGE"], **above, SERIES_INSTANCE_UID: [uid]}
            for image in await self.matches({**keys, SOP_INSTANCE_UID: [], SOP_CLASS_UID: []}, _MOST_INSTANCES):
                if is_uid(instance := value_of(image, SOP_INSTANCE_UID)):
                    images[instance] = uid, value_of(image, SOP_CLASS_UID)
        return images


def value_of(answer: Answer, tag: int) -> str:
    """The first value of an attribute of an answer, "" if there is none."""
    return next(iter(answer.get(tag, ())), "").strip()

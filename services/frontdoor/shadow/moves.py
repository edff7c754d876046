"""Compares a C-MOVE without moving: both archives are queried by C-FIND for what they would send.

The queries go level by level, which every archive supports (PS3.4 C.4.1.2.2): studies of a patient, series of a study,
instances of a series. Queries and answers are bounded; a C-MOVE that needs more is not compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.model.json_writing import Attributes
from gantry.common.dicom.query.identifiers import encode_identifier
from gantry.common.dicom.standard.sop_classes import (
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_MOVE,
    PATIENT_STUDY_ONLY_MOVE,
    STUDY_ROOT_FIND,
)
from gantry.common.dicom.standard.transfer_syntaxes import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from gantry.common.dimse import Command, CommandField, Element
from gantry.common.errors import ContextNotAccepted, GantryError, NotUnderstood, PeerError
from gantry.common.ids import is_uid
from gantry.common.net.association import Association
from gantry.common.net.client import connect
from gantry.common.net.proxy import Origin
from gantry.common.statuses import SUCCESS, status_words
from gantry.common.telemetry.logs import get_logger
from gantry.common.ul import AcceptedContext, AssociateRequest, ProposedContext
from gantry.services.frontdoor.shadow.answers import level_of, read
from gantry.services.frontdoor.shadow.asking import AnswersTooLong, ComparedArchive, ask, size_of
from gantry.services.frontdoor.shadow.comparing import AnswerDifference, DifferenceKind, named_uids
from gantry.services.frontdoor.shadow.looks import Looks, gather_both
from gantry.services.frontdoor.shadow.overhearing import TOO_MANY, Room

logger = get_logger("shadow")
MOVE = "C-MOVE"
MOST_QUESTIONS = 1_000
"""Queries to one archive for one C-MOVE, at most."""
MOST_INSTANCES = 100_000
_LEVELS = ("PATIENT", "STUDY", "SERIES", "IMAGE")
_KEYS = {"PATIENT": 0x00100020, "STUDY": 0x0020000D, "SERIES": 0x0020000E, "IMAGE": 0x00080018}
_LEVEL = 0x00080052
_SYNTAXES = (EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN)
_INSTANCE_BYTES = 128
"""Approximate bytes that a UID in a set holds."""


@dataclass(frozen=True, slots=True)
class MoveRequest:
    """The request of a C-MOVE: unique keys of the levels down to its own; only the last may have several values."""

    model: str
    level: str
    keys: Mapping[str, tuple[str, ...]]


def move_request_of(identifier: Attributes, model: str) -> MoveRequest:
    """The request in an identifier of this C-MOVE information model. Raises `NotUnderstood`."""
    level = level_of(identifier)
    if level not in _LEVELS:
        raise NotUnderstood("a C-MOVE without a level")
    by_patient = model in (PATIENT_ROOT_MOVE, PATIENT_STUDY_ONLY_MOVE)
    keys: dict[str, tuple[str, ...]] = {}
    for name in _LEVELS[: _LEVELS.index(level) + 1]:
        if name == "PATIENT" and not by_patient:
            continue
        values = identifier.get(f"{_KEYS[name]:08X}", {}).get("Value") or ()
        uids = tuple(text_of(value).strip(" \0") for value in values)
        if not uids or not all(uids) or (name != "PATIENT" and not all(is_uid(uid) for uid in uids)):
            raise NotUnderstood("a C-MOVE without a unique key")
        if len(uids) > 1 and name != level:
            raise NotUnderstood("a C-MOVE with several values above its level")
        keys[name] = uids
    if not keys:
        raise NotUnderstood("a C-MOVE of the Study Root for a patient")
    return MoveRequest(PATIENT_ROOT_FIND if by_patient else STUDY_ROOT_FIND, level, keys)


@dataclass(frozen=True, slots=True)
class MoveLook:
    """A C-MOVE to compare: its peer, its context and its identifier."""

    request: AssociateRequest
    origin: Origin
    context: AcceptedContext
    question: bytes


class Moves(Looks):
    """The C-MOVEs that are compared."""

    def take(self, look: MoveLook) -> bool:
        """Whether this C-MOVE will be compared."""
        return self._begin(look.question, lambda: self._look(look))

    async def _look(self, look: MoveLook) -> None:
        calling = look.request.calling_ae_title
        why, words = "", ""
        try:
            differences = await self._compared(look)
            if differences and self._settings.again_after:
                # An instance that is not indexed yet is not missing.
                await self._clock.sleep(self._settings.again_after)
                differences = await self._compared(look)
            self._recorder.compared(MOVE, calling, differences, {})
        except asyncio.CancelledError:
            why = "shutdown"
            raise
        except AnswersTooLong as error:
            why, words = TOO_MANY, str(error)
        except NotUnderstood as error:
            why, words = "unreadable", str(error)
        except (GantryError, TimeoutError) as error:
            why, words = "no_find", str(error) or "no answer in time"
        except Exception as error:
            logger.error("shadow failed", error=error)
            why = "fault"
        finally:
            self._room.give(len(look.question))
            if why:
                self._recorder.given_up(why, calling, words)

    async def _compared(self, look: MoveLook) -> list[AnswerDifference]:
        question = move_request_of(read(look.question, look.context.transfer_syntax), look.context.abstract_syntax)
        rooms = self._rooms()
        try:
            sides = zip((self._gantry, self._other), rooms, strict=True)
            gantry, other = await gather_both(*(self._instances(side, look, question, room) for side, room in sides))
        finally:
            for room in rooms:
                room.close()
        return [
            AnswerDifference(kind, len(uids), "", named_uids(sorted(uids)))
            for kind, uids in (
                (DifferenceKind.ONLY_GANTRY, gantry - other),
                (DifferenceKind.ONLY_OTHER, other - gantry),
            )
            if uids
        ]

    async def _instances(
        self, side: ComparedArchive, look: MoveLook, question: MoveRequest, room: Room
    ) -> frozenset[str]:
        request = AssociateRequest(
            called_ae_title=look.request.called_ae_title,
            calling_ae_title=look.request.calling_ae_title,
            contexts=(ProposedContext(1, question.model, _SYNTAXES),),
        )
        async with connect(side.peer(request, look.origin), [(question.model, _SYNTAXES)]) as association:
            context = association.context_for(question.model)
            if context is None:
                raise ContextNotAccepted(f"{side.name} does not support C-FIND of this information model")
            questions = _Questions(association, context, room, self._settings.timeout)
            return await questions.instances(question)


class _Questions:
    """The queries to one archive."""

    def __init__(self, association: Association, context: AcceptedContext, room: Room, timeout: float) -> None:
        self._association = association
        self._context = context
        self._room = room
        self._timeout = timeout
        self._questions = 0
        self._uids: set[str] = set()

    async def instances(self, question: MoveRequest) -> frozenset[str]:
        """The SOP Instance UIDs of everything requested. Raises a `PeerError`, `NotUnderstood`."""
        above = {name: values[0] for name, values in question.keys.items() if name != question.level}
        if question.level == "IMAGE":
            await self._below(above, "IMAGE", question.keys["IMAGE"])
        else:
            for value in question.keys[question.level]:
                await self._descend({**above, question.level: value}, question.level)
        return frozenset(self._uids)

    async def _descend(self, above: Mapping[str, str], level: str) -> None:
        lower = _LEVELS[_LEVELS.index(level) + 1]
        uids = await self._below(above, lower, ())
        if lower != "IMAGE":
            for value in uids:
                await self._descend({**above, lower: value}, lower)

    async def _below(self, above: Mapping[str, str], level: str, values: Sequence[str]) -> list[str]:
        """The unique keys at a level, of these `values` or all; at the instance level they are the result."""
        self._questions += 1
        if self._questions > MOST_QUESTIONS:
            raise AnswersTooLong(f"more than {MOST_QUESTIONS} queries for one C-MOVE")
        key = _KEYS[level]
        identifier = {_LEVEL: [level], key: list(values), **{_KEYS[name]: [uid] for name, uid in above.items()}}
        command = Command(
            {
                Element.AFFECTED_SOP_CLASS_UID: self._context.abstract_syntax,
                Element.COMMAND_FIELD: int(CommandField.C_FIND_RQ),
                Element.PRIORITY: 0,
                Element.COMMAND_DATA_SET_TYPE: 0,
            }
        )
        data = encode_identifier(dict(sorted(identifier.items())), self._context.transfer_syntax)
        async with asyncio.timeout(self._timeout):
            final, matches = await ask(
                self._association, self._context, command, bytearray(data), self._room, self._timeout
            )
        if final.status != SUCCESS:
            raise NotFindable(f"C-FIND was answered {status_words(final.status)}")
        texts = [self._key_of(match, key) for match in matches]
        self._room.give(size_of(matches))
        uids = list(dict.fromkeys(uid for uid in texts if is_uid(uid)))
        if level == "IMAGE":
            self._uids.update(uids)
            if len(self._uids) > MOST_INSTANCES or not self._room.take(len(uids) * _INSTANCE_BYTES):
                raise AnswersTooLong("more instances than there is room for")
        return uids

    def _key_of(self, match: bytes, key: int) -> str:
        values = read(match, self._context.transfer_syntax).get(f"{key:08X}", {}).get("Value") or [""]
        return text_of(values[0]).strip(" \0")


class NotFindable(PeerError):
    """An archive does not answer the queries."""

"""Rejection notes as they are stored: read from the event, or from the object if the event has no header; and the
configured effect of each code."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gantry.common.config.lifecycle_sections import LifecycleSettings
from gantry.common.dicom.encoding.inflate import inflate_head
from gantry.common.dicom.model.json_writing import attributes_of
from gantry.common.dicom.model.rejection_notes import RejectionNote, rejection_of
from gantry.common.dicom.standard.sop_classes import KEY_OBJECT_SELECTION
from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.common.errors import GantryError
from gantry.common.events import InstanceStored
from gantry.common.lifecycle import RejectionPolicy, SentAgain
from gantry.common.ports.blobs import BlobStore, Part

_LONGEST = 64 << 20
"""Most bytes of a note that are read: some hundred thousand references."""


class RejectionAction(StrEnum):
    """The effect of a rejection."""

    HIDE = "hide"
    NOTE = "note"
    """Hides the instances, but not the note itself."""
    DELETE = "delete"
    """Hides the instances, and their objects are collected when the grace time is over."""
    SHOW = "show"
    """The note is an object like any other."""


def rules_of(rules: Sequence[str]) -> dict[str, RejectionAction]:
    """The rules of `lifecycle.rejections` by code. Of two rules for one code the last counts."""
    return {code: RejectionAction(action) for code, _, action in (rule.partition("=") for rule in rules)}


@dataclass(frozen=True, slots=True)
class RejectionRules:
    """`actions` by code; `revoking` are document titles, VALUE^SCHEME, of notes that revoke."""

    actions: Mapping[str, RejectionAction] = field(default_factory=dict)
    revoking: frozenset[str] = frozenset()
    policy: RejectionPolicy = field(default_factory=RejectionPolicy)


def rejection_rules(settings: LifecycleSettings) -> RejectionRules:
    """The rules of the settings."""
    actions = rules_of(settings.rejections)
    again = {code: SentAgain(rule) for code, _, rule in (pair.partition("=") for pair in settings.sent_again)}
    overwrites = frozenset((new, old) for new, _, old in (pair.partition(">") for pair in settings.overwrites))
    stays = frozenset(code for code, action in actions.items() if action is not RejectionAction.DELETE)
    policy = RejectionPolicy(again, overwrites, int(settings.note_first * 1000), stays)
    return RejectionRules(actions, frozenset(settings.revoking), policy)


async def note_in(objects: BlobStore, event: InstanceStored, revoking: Collection[str] = ()) -> RejectionNote | None:
    """The rejection note that was stored; None for any other object, and for one that cannot be read. Raises
    `DependencyUnavailable` if the object store is needed and unavailable."""
    if event.sop_class_uid != KEY_OBJECT_SELECTION:
        return None
    encoding = encoding_of(event.transfer_syntax_uid)
    try:
        header = event.header
        if header is None:
            length = min(event.data_set_length, _LONGEST)
            (header,) = await objects.read([Part(event.object_key, event.data_set_offset, length)])
            if encoding.deflated:
                header = inflate_head(header, _LONGEST)
        return rejection_of(attributes_of(header, encoding, lambda *_: ""), revoking)
    except GantryError as error:
        if error.retryable:
            raise
        return None

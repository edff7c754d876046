"""Which field of which sender says what, and whom it may speak of. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from gantry.common.config.hl7_sections import Hl7ProfileSettings
from gantry.common.errors import NotUnderstood
from gantry.common.hl7.charsets import codec_of
from gantry.common.hl7.datatypes import authority_of
from gantry.common.hl7.fields import FieldPath
from gantry.common.hl7.message import Field, Hl7Message
from gantry.common.hl7.problems import MessageRefused
from gantry.common.lifecycle.identity import PatientIdentity

Paths = tuple[FieldPath, ...]
_PATIENT_TYPES = ("MR", "PI", "")
"""HL7 table 0203: medical record number, internal identifier, not said; in the order in which they are taken."""


@dataclass(frozen=True, slots=True)
class SenderProfile:
    """One sender. `issuers` are Issuers of Patient ID by assigning authority."""

    sender: str
    charset: str
    processing: frozenset[str]
    issuers: Mapping[str, str]
    accession: Paths
    procedure: Paths
    step: Paths
    study: Paths
    modality: Paths
    station: Paths
    start: Paths
    confidential: Paths
    modalities: Mapping[str, str]
    stations: Mapping[str, str]

    def matches(self, source: str) -> bool:
        """Whether it is that of a sender, as `Hl7Message.source` names one."""
        pattern = self.sender if "^" in self.sender else f"{self.sender}^*"
        return fnmatchcase(source, pattern)

    def issuer(self, authority: str) -> str:
        """What an assigning authority is called here."""
        return self.issuers.get(authority, authority)

    def identity(self, repetitions: Sequence[Field], *, trusted: bool) -> PatientIdentity | None:
        """Whom PID-3 names: the ID of an authority of the profile, else, unless it is to be `trusted`, the medical
        record number, patient identifier or first ID. None where there is none. Raises `NotUnderstood` for what cannot
        be a Patient ID (PS3.5 6.2, LO)."""
        ours = [repetition for repetition in repetitions if authority_of(repetition) in self.issuers]
        if not ours and trusted:
            return None
        by_type = {kind: repetition for repetition in reversed(ours or repetitions) for kind in [repetition.text(5)]}
        chosen = next((by_type[kind] for kind in _PATIENT_TYPES if kind in by_type), None)
        chosen = chosen or next(iter(ours or repetitions), None)
        if chosen is None or not chosen.text(1):
            return None
        return PatientIdentity(chosen.text(1), self.issuer(authority_of(chosen)))


def profile_of(settings: Hl7ProfileSettings) -> SenderProfile:
    """A profile as it is configured. Raises `NotUnderstood` for a character set that is not supported."""
    try:
        codec_of([settings.charset])
    except MessageRefused as error:
        raise NotUnderstood(f"profile {settings.sender}: {error}") from error
    issuers = {}
    for authority in settings.authorities:
        name, equals, issuer = authority.partition("=")
        issuers[name] = issuer if equals else name
    paths = {
        name: tuple(map(FieldPath.of, getattr(settings, name)))
        for name in ("accession", "procedure", "step", "study", "modality", "station", "start", "confidential")
    }
    return SenderProfile(
        settings.sender,
        settings.charset,
        frozenset(settings.processing),
        issuers,
        modalities=settings.modalities,
        stations=settings.stations,
        **paths,
    )


DEFAULT = profile_of(Hl7ProfileSettings(sender="*"))
"""Of a sender that no profile names."""


def profile_for(profiles: Sequence[SenderProfile], message: Hl7Message) -> SenderProfile:
    """The profile of a message's sender."""
    return profile_for_source(profiles, message.source)


def profile_for_source(profiles: Sequence[SenderProfile], source: str) -> SenderProfile:
    """The first profile that matches a sender, else `DEFAULT`."""
    return next((profile for profile in profiles if profile.matches(source)), DEFAULT)

"""One error tree. A kind of error says what a caller may do about it, never which vendor's library raised it.

    GantryError
    ├── DependencyUnavailable      a store, log or index is away or full: the same call may succeed later (A700H, 503)
    │   └── KeyWithheld            the key service answers, and does not give the key (any more)
    ├── QuotaReached               the archive holds as much as it may: nothing more until there is room (A700H, 503)
    ├── NotFound                   the thing asked for is not there
    ├── Archived                   its store must bring the object back from an archive first: hours (503, 0110H)
    ├── Held                       a hold stands on the study: nothing of it may be deleted
    ├── Conflicting                what is asked for contradicts what stands, as a merge in a circle does
    ├── Corrupt                    bytes are there, but not those we promised to keep
    ├── RefusedDataSet             the sender's data set cannot be kept; carries the status that says why
    │   ├── MismatchedDataSet      A900H: the data set does not agree with the command or the SOP class
    │   ├── NotUnderstood          C000H: the data set cannot be read
    │   ├── ClassNotSupported      0122H: its SOP class is none that is served
    │   ├── NotAuthorised          0124H: the peer may not do this
    │   ├── RejectionRefused       A770H to A776H: a rejection note, or what is sent again after one (IHE IOCM)
    │   └── TooLarge               A700H: a limit of ours is reached
    ├── IdentifierError            a C-FIND, C-MOVE or C-GET identifier cannot be answered; names the offending elements
    ├── OperationRefused           a DIMSE-N request is answered with the status that it carries
    ├── EntryRefused               the index can never take one entry of a batch; says which
    ├── NotDeidentified            an object cannot be de-identified as asked; it stays where it is
    ├── UndecodableEvent           a payload on the log that no known schema version reads
    ├── ConfigError                a settings or policy file is wrong: file, line, reason
    ├── TokenRefused               a bearer token that is not accepted; says why in a word and in words (401)
    ├── LoginRefused               somebody at the page is not signed in; says why in a word and in words, with a status
    ├── UserRefused                the user that a peer names for its association is not accepted; says why in words
    ├── OriginRefused              an address was named for a peer without proof; says why in a word and in words
    └── PeerError                  a DICOM peer did not do what was asked
        ├── ConnectionFailed       no TCP or TLS connection
        ├── AssociationRejected    A-ASSOCIATE-RJ; carries result, source and reason (PS3.8 9.3.4)
        ├── AssociationAborted     A-ABORT, or the connection was lost
        ├── PeerTimeout            the peer said nothing within a deadline of ours
        └── ContextNotAccepted     the peer took the association, but not the presentation context that is needed

Messages are lower-case facts without patient data; what a person should do about one is said by the command line.
"""

from __future__ import annotations

from gantry.common.statuses import (
    CANNOT_UNDERSTAND,
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
    NO_SUCH_OBJECT_INSTANCE,
    NOT_AUTHORISED,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    SOP_CLASS_NOT_SUPPORTED,
)


class GantryError(Exception):
    """Root of everything that Gantry raises on purpose."""

    retryable = False
    dicom_status = PROCESSING_FAILURE
    """The DIMSE status a peer gets for it where nothing more precise applies (PS3.7 Annex C: processing failure)."""


class DependencyUnavailable(GantryError):
    """`dependency` ("object store", "event log", "index") is away, full or too slow; nothing was promised."""

    retryable = True
    dicom_status = OUT_OF_RESOURCES

    def __init__(self, dependency: str, reason: str) -> None:
        super().__init__(f"{dependency} unavailable: {reason}")
        self.dependency = dependency
        self.reason = reason


class KeyWithheld(DependencyUnavailable):
    """The key service does not have a key, or does not give it (any more). Nothing is lost by that: what it opens is
    readable again when the key is given again."""

    def __init__(self, reason: str) -> None:
        super().__init__("key service", reason)


class QuotaReached(GantryError):
    """PS3.4 B.2.3: out of resources (A7xxH), because the archive holds as many bytes as `storage.quota` allows. The
    sender may try again once something was deleted and counted, or the quota was raised."""

    retryable = True
    dicom_status = OUT_OF_RESOURCES

    def __init__(self) -> None:
        super().__init__("archive is full: its quota of bytes is used up")


class NotFound(GantryError):
    """What was asked for is not there."""

    dicom_status = NO_SUCH_OBJECT_INSTANCE


class Archived(GantryError):
    """The object is there, but its store has put it into an archive that it must be brought back from first. Asking
    again soon is no use: it takes hours. `key` names it where that is known."""

    retry_after = 3600
    """Seconds."""

    def __init__(self, key: str = "") -> None:
        super().__init__("the object lies in an archive and was asked for: try again in a few hours")
        self.key = key


class Held(GantryError):
    """A hold or a retention rule stands in the way of a deletion, whoever asks for it."""


class Conflicting(GantryError):
    """What is asked for contradicts what stands: it is refused, and nothing was changed."""


class Corrupt(GantryError):
    """The bytes read are not the bytes that were acknowledged."""


class RefusedDataSet(GantryError):
    """A data set that will not be kept; `dicom_status` is the C-STORE status of PS3.4 B.2.3."""

    dicom_status = CANNOT_UNDERSTAND


class MismatchedDataSet(RefusedDataSet):
    """PS3.4 B.2.3: data set does not match SOP class (A9xxH); here also: UIDs that differ from the command's."""

    dicom_status = DATA_SET_DOES_NOT_MATCH_SOP_CLASS


class NotUnderstood(RefusedDataSet):
    """PS3.4 B.2.3: cannot understand (CxxxH)."""

    dicom_status = CANNOT_UNDERSTAND


class ClassNotSupported(RefusedDataSet):
    """PS3.7 C.5.6: SOP class not supported (0122H)."""

    dicom_status = SOP_CLASS_NOT_SUPPORTED


class NotAuthorised(RefusedDataSet):
    """PS3.7 C.4.20: refused: not authorised (0124H)."""

    dicom_status = NOT_AUTHORISED


class TooLarge(RefusedDataSet):
    """PS3.4 B.2.3: out of resources (A7xxH), because a configured limit is reached."""

    dicom_status = OUT_OF_RESOURCES


class RejectionRefused(RefusedDataSet):
    """A rejection note that is not followed, or an object that was rejected before (IHE IOCM); `dicom_status` is one of
    A770H to A776H."""

    def __init__(self, status: int, comment: str) -> None:
        super().__init__(comment)
        self.dicom_status = status


class IdentifierError(GantryError):
    """An identifier that cannot be answered: A900H where it does not match the SOP class, C000H where it cannot be
    processed, A700H where it asks for too much (PS3.4 C.4.1.1.4). `offending` are the tags of (0000,0901)."""

    def __init__(self, dicom_status: int, reason: str, offending: tuple[int, ...] = ()) -> None:
        super().__init__(reason)
        self.dicom_status = dicom_status
        self.reason = reason
        self.offending = offending


class OperationRefused(GantryError):
    """A request that is answered with a failure status (PS3.7 10.1)."""

    def __init__(self, dicom_status: int, comment: str) -> None:
        super().__init__(comment)
        self.dicom_status = dicom_status


class EntryRefused(GantryError):
    """The index can never take the entry at `position` of a batch, whatever is done; the others were not at fault."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"index refuses an entry: {reason}")
        self.position = position


class UndecodableEvent(GantryError):
    """No known schema version reads this payload; it belongs to the dead letters."""


class NotDeidentified(GantryError):
    """An object cannot be de-identified as asked: nothing of it may leave. The reason names no patient."""


class ConfigError(GantryError):
    """A file of settings or policy is wrong. `str()` reads `FILE:LINE: reason`."""

    def __init__(self, file: str, line: int | None, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}" if line else f"{file}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


class TokenRefused(GantryError):
    """A bearer token is not accepted. `kind` is one of a closed set of words, for counting."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(f"the token is not accepted: {reason}")
        self.kind = kind
        self.reason = reason


class LoginRefused(GantryError):
    """Somebody at the page is not signed in. `kind` is one of a closed set of words, for counting; `reason` is for him,
    and repeats nothing that came with the request."""

    def __init__(self, kind: str, status: int, reason: str) -> None:
        super().__init__(f"not signed in: {reason}")
        self.kind = kind
        self.status = status
        self.reason = reason


class UserRefused(GantryError):
    """The user of an association is not accepted (PS3.7 D.3.3.7). `reason` repeats nothing that the peer sent."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the user is not accepted: {reason}")
        self.reason = reason


class OriginRefused(GantryError):
    """An address was named for a peer, and not proven by the key of door and services. `kind` is one of a closed set of
    words, for counting; `reason` repeats nothing that was sent."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(f"the address is not believed: {reason}")
        self.kind = kind
        self.reason = reason


class PeerError(GantryError):
    """A DICOM peer did not do what was asked."""

    retryable = True


class ConnectionFailed(PeerError):
    """No connection to the peer."""


class AssociationRejected(PeerError):
    """A-ASSOCIATE-RJ with the three numbers of PS3.8 table 9-21."""

    def __init__(self, result: int, source: int, reason: int, words: str) -> None:
        super().__init__(f"association rejected ({result}/{source}/{reason}): {words}")
        self.result = result
        self.source = source
        self.reason = reason
        self.retryable = result == 2


class AssociationAborted(PeerError):
    """The peer aborted, or the connection was lost."""


class PeerTimeout(PeerError):
    """The peer said nothing within a deadline of ours."""


class ContextNotAccepted(PeerError):
    """The peer did not accept the presentation context that the operation needs."""

    retryable = False

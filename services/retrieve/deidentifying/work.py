"""What a worker process does to one object (PS3.15 E.1.1)."""

from __future__ import annotations

from collections.abc import Iterator

from gantry.common.deidentify.objects import Deidentifier
from gantry.common.errors import NotDeidentified, NotUnderstood
from gantry.services.retrieve.pixels.worker import Files

_PIECE = 1 << 20


def deidentify(files: Files, deidentifier: Deidentifier, transfer_syntax_uid: str) -> tuple[str, str]:
    """Write the de-identified data set of the input. Returns its new SOP Instance UID and ""; or, if it must not be
    sent, "" and the reason."""
    try:
        done = deidentifier.deidentified(_pieces(files.input), transfer_syntax_uid)
        for piece in done.pieces:
            files.write(piece)
    except NotDeidentified as error:
        return "", str(error)
    except NotUnderstood as error:
        return "", f"it cannot be read: {error}"
    return done.sop_instance_uid, ""


def _pieces(data: memoryview) -> Iterator[bytes]:
    for at in range(0, len(data), _PIECE):
        yield bytes(data[at : at + _PIECE])

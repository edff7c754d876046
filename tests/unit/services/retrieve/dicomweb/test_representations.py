"""Which transfer syntax and media type goes out (PS3.18 8.7.3)."""

from __future__ import annotations

import pytest

from gantry.common.dicom.standard.transfer_syntaxes import TRANSFER_SYNTAXES
from gantry.common.web.errors import HttpProblem
from gantry.common.web.negotiation import MediaRange, parse_accept
from gantry.services.retrieve.dicomweb.representations import frame_form, media_type_of, object_syntax

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
JPEG, J2K, MPEG, RLE = (f"1.2.840.10008.1.2.{n}" for n in ("4.50", "4.90", "4.102", "5"))
OCTETS = "application/octet-stream"


@pytest.mark.parametrize(
    ("syntax", "type_"), [(JPEG, "image/jpeg"), (J2K, "image/jp2"), (RLE, "image/dicom-rle"), ("1.2.3", OCTETS)]
)
def test_a_compressed_frame_has_the_media_type_of_its_syntax(syntax: str, type_: str) -> None:
    """PS3.18 table 8.7.3-5."""
    assert media_type_of(syntax) == type_


@pytest.mark.parametrize(
    ("stored", "requested", "expected"),
    [
        (JPEG, "", EXPLICIT),  # 8.7.3.5.2: the default
        (MPEG, "", MPEG),  # nothing else can be made of it
        (JPEG, "*", JPEG),
        (JPEG, JPEG, JPEG),
        (JPEG, IMPLICIT, IMPLICIT),
        (JPEG, J2K, None),
        (EXPLICIT, JPEG, None),  # nothing is compressed
        (MPEG, EXPLICIT, None),
        (BIG, EXPLICIT, EXPLICIT),
        (EXPLICIT, BIG, None),
    ],
)
def test_an_object_goes_out_in_the_syntax_that_is_asked_for_or_not_at_all(
    stored: str, requested: str, expected: str | None
) -> None:
    assert object_syntax(stored, MediaRange("application/dicom", transfer_syntax=requested)) == expected


def form(stored: str, accept: str) -> tuple[str, str, bool]:
    return frame_form(stored, parse_accept(accept))


@pytest.mark.parametrize(
    ("stored", "accept", "expected"),
    [
        (JPEG, "*/*", (OCTETS, EXPLICIT, True)),
        (JPEG, "", (OCTETS, EXPLICIT, True)),
        (JPEG, OCTETS, (OCTETS, EXPLICIT, False)),
        (JPEG, "image/jpeg", ("image/jpeg", JPEG, False)),
        (JPEG, 'multipart/related; type="image/jpeg"', ("image/jpeg", JPEG, True)),
        (JPEG, "image/*", ("image/jpeg", JPEG, False)),
        (JPEG, f'multipart/related; type="{OCTETS}"; transfer-syntax=*', (OCTETS, JPEG, True)),
        (JPEG, f'multipart/related; type="{OCTETS}"; transfer-syntax={JPEG}', (OCTETS, JPEG, True)),
        (EXPLICIT, f'multipart/related; type="{OCTETS}"; transfer-syntax=*', (OCTETS, EXPLICIT, True)),
        (BIG, "*/*", (OCTETS, EXPLICIT, True)),
        (J2K, "image/jpeg, image/jp2;q=0.1", ("image/jp2", J2K, False)),
    ],
)
def test_frames_go_out_as_they_are_accepted(stored: str, accept: str, expected: tuple[str, str, bool]) -> None:
    assert form(stored, accept) == expected


@pytest.mark.parametrize(
    ("stored", "accept"),
    [
        (JPEG, "image/jp2"),
        (EXPLICIT, "image/jpeg"),
        (JPEG, f'multipart/related; type="{OCTETS}"; transfer-syntax={J2K}'),
        (JPEG, f"{OCTETS};q=0"),
        (JPEG, "text/html"),
    ],
)
def test_what_cannot_be_had_is_406_and_says_what_can(stored: str, accept: str) -> None:
    with pytest.raises(HttpProblem) as error:
        form(stored, accept)
    assert error.value.status == 406
    assert OCTETS in error.value.line


@pytest.mark.parametrize("stored", sorted(TRANSFER_SYNTAXES))
def test_every_frame_can_be_had_as_it_is_stored(stored: str) -> None:
    type_, syntax, _ = form(stored, f'multipart/related; type="{OCTETS}"; transfer-syntax=*')
    assert type_ == OCTETS
    assert syntax == (stored if TRANSFER_SYNTAXES[stored].encoding.encapsulated else EXPLICIT)

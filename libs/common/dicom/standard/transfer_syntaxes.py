"""Transfer syntaxes: how a data set is encoded (PS3.5 10 and Annex A)."""

from __future__ import annotations

from dataclasses import dataclass

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
ENCAPSULATED_UNCOMPRESSED = "1.2.840.10008.1.2.1.98"
DEFLATED_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"


@dataclass(frozen=True, slots=True)
class Encoding:
    """What a reader must know of a transfer syntax before it reads the first byte.

    `deflated` says that the whole data set is (PS3.5 A.5); `encapsulated` that pixel data comes in fragments (A.4).
    """

    explicit: bool = True
    big_endian: bool = False
    deflated: bool = False
    encapsulated: bool = False


_ENCAPSULATED = Encoding(encapsulated=True)
_NATIVE: dict[str, Encoding] = {
    IMPLICIT_LITTLE_ENDIAN: Encoding(explicit=False),
    EXPLICIT_LITTLE_ENDIAN: Encoding(),
    DEFLATED_EXPLICIT_LITTLE_ENDIAN: Encoding(deflated=True),
    EXPLICIT_BIG_ENDIAN: Encoding(big_endian=True),
    # JPIP: the pixel data stays with its provider, and the data set carries a URL (PS3.5 A.6, A.7).
    "1.2.840.10008.1.2.4.94": Encoding(),
    "1.2.840.10008.1.2.4.95": Encoding(deflated=True),
    "1.2.840.10008.1.2.4.204": Encoding(),
    "1.2.840.10008.1.2.4.205": Encoding(deflated=True),
    # SMPTE ST 2110: the pixel data flows beside the data set (PS3.5 A.8).
    "1.2.840.10008.1.2.7.1": Encoding(),
    "1.2.840.10008.1.2.7.2": Encoding(),
    "1.2.840.10008.1.2.7.3": Encoding(),
    # GE private: implicit VR little endian, with pixel data in big endian.
    "1.2.840.113619.5.2": Encoding(explicit=False),
}


def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """How a data set in this transfer syntax is encoded.

    PS3.5 A.4: every encapsulated transfer syntax is explicit VR little endian; unknown and private ones are taken to
    be of that kind, too.
    """
    return _NATIVE.get(transfer_syntax_uid, _ENCAPSULATED)

"""Transfer syntaxes: how a data set is encoded (PS3.5 10 and Annex A). One table; no other file contains such a UID."""

from __future__ import annotations

from dataclasses import dataclass

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
ENCAPSULATED_UNCOMPRESSED = "1.2.840.10008.1.2.1.98"
DEFLATED_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_SPECTRAL_SELECTION = "1.2.840.10008.1.2.4.53"
JPEG_FULL_PROGRESSION = "1.2.840.10008.1.2.4.55"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_LS_LOSSLESS = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR_LOSSLESS = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
MPEG4_HIGH_41 = "1.2.840.10008.1.2.4.102"
MPEG4_HIGH_42_2D = "1.2.840.10008.1.2.4.104"
HEVC_MAIN_51 = "1.2.840.10008.1.2.4.107"
HEVC_MAIN_10_51 = "1.2.840.10008.1.2.4.108"
HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"
HTJ2K_LOSSLESS_RPCL = "1.2.840.10008.1.2.4.202"
HTJ2K = "1.2.840.10008.1.2.4.203"
RLE_LOSSLESS = "1.2.840.10008.1.2.5"
DEFLATED_IMAGE_FRAME = "1.2.840.10008.1.2.8.1"
GE_PRIVATE = "1.2.840.113619.5.2"


@dataclass(frozen=True, slots=True)
class Encoding:
    """What a reader must know of a transfer syntax before it reads the first byte.

    `deflated`: the whole data set is (PS3.5 A.5); `encapsulated`: pixel data is in fragments (A.4).
    """

    explicit: bool = True
    big_endian: bool = False
    deflated: bool = False
    encapsulated: bool = False


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """One row. `media_type` is that of a frame as it is stored (PS3.18 tables 8.7.3-4, 8.7.3-5), "" for octets;
    `lossy_method` the Lossy Image Compression Method (PS3.3 C.7.6.1.1.5.1), "" if it is not lossy."""

    uid: str
    keyword: str
    name: str
    encoding: Encoding
    media_type: str = ""
    lossy_method: str = ""


_IMPLICIT = Encoding(explicit=False)
_NATIVE = Encoding()
_BIG_ENDIAN = Encoding(big_endian=True)
_DEFLATED = Encoding(deflated=True)
_ENCAPSULATED = Encoding(encapsulated=True)

# JPIP (PS3.5 A.6, A.7): the pixel data stays with its provider, and the data set carries a URL. SMPTE ST 2110 (A.8): it
# flows beside the data set.
_ROWS = (
    TransferSyntax(IMPLICIT_LITTLE_ENDIAN, "ImplicitVRLittleEndian", "Implicit VR Little Endian", _IMPLICIT),
    TransferSyntax(EXPLICIT_LITTLE_ENDIAN, "ExplicitVRLittleEndian", "Explicit VR Little Endian", _NATIVE),
    TransferSyntax(
        ENCAPSULATED_UNCOMPRESSED,
        "EncapsulatedUncompressedExplicitVRLittleEndian",
        "Encapsulated Uncompressed Explicit VR Little Endian",
        _ENCAPSULATED,
    ),
    TransferSyntax(
        DEFLATED_EXPLICIT_LITTLE_ENDIAN,
        "DeflatedExplicitVRLittleEndian",
        "Deflated Explicit VR Little Endian",
        _DEFLATED,
    ),
    TransferSyntax(EXPLICIT_BIG_ENDIAN, "ExplicitVRBigEndian", "Explicit VR Big Endian", _BIG_ENDIAN),
    TransferSyntax(
        JPEG_BASELINE, "JPEGBaseline8Bit", "JPEG Baseline (Process 1)", _ENCAPSULATED, "image/jpeg", "ISO_10918_1"
    ),
    TransferSyntax(
        JPEG_EXTENDED,
        "JPEGExtended12Bit",
        "JPEG Extended (Process 2 and 4)",
        _ENCAPSULATED,
        "image/jpeg",
        "ISO_10918_1",
    ),
    TransferSyntax("1.2.840.10008.1.2.4.52", "JPEGExtended35", "JPEG Extended (Process 3 and 5)", _ENCAPSULATED),
    TransferSyntax(
        JPEG_SPECTRAL_SELECTION,
        "JPEGSpectralSelectionNonHierarchical68",
        "JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)",
        _ENCAPSULATED,
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.54",
        "JPEGSpectralSelectionNonHierarchical79",
        "JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)",
        _ENCAPSULATED,
    ),
    TransferSyntax(
        JPEG_FULL_PROGRESSION,
        "JPEGFullProgressionNonHierarchical1012",
        "JPEG Full Progression, Non-Hierarchical (Process 10 and 12)",
        _ENCAPSULATED,
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.56",
        "JPEGFullProgressionNonHierarchical1113",
        "JPEG Full Progression, Non-Hierarchical (Process 11 and 13)",
        _ENCAPSULATED,
    ),
    TransferSyntax(
        JPEG_LOSSLESS, "JPEGLossless", "JPEG Lossless, Non-Hierarchical (Process 14)", _ENCAPSULATED, "image/jpeg"
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.58",
        "JPEGLosslessNonHierarchical15",
        "JPEG Lossless, Non-Hierarchical (Process 15)",
        _ENCAPSULATED,
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.59",
        "JPEGExtendedHierarchical1618",
        "JPEG Extended, Hierarchical (Process 16 and 18)",
        _ENCAPSULATED,
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.60",
        "JPEGExtendedHierarchical1719",
        "JPEG Extended, Hierarchical (Process 17 and 19)",
        _ENCAPSULATED,
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.61",
        "JPEGSpectralSelectionHierarchical2022",
        "JPEG Spectral Selection, Hierarchical (Process 20 and 22)",
        _ENCAPSULATED,
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.62",
        "JPEGSpectralSelectionHierarchical2123",
        "JPEG Spectral Selection, Hierarchical (Process 21 and 23)",
        _ENCAPSULATED,
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.63",
        "JPEGFullProgressionHierarchical2426",
        "JPEG Full Progression, Hierarchical (Process 24 and 26)",
        _ENCAPSULATED,
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.64",
        "JPEGFullProgressionHierarchical2527",
        "JPEG Full Progression, Hierarchical (Process 25 and 27)",
        _ENCAPSULATED,
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.65",
        "JPEGLosslessHierarchical28",
        "JPEG Lossless, Hierarchical (Process 28)",
        _ENCAPSULATED,
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.66",
        "JPEGLosslessHierarchical29",
        "JPEG Lossless, Hierarchical (Process 29)",
        _ENCAPSULATED,
    ),
    TransferSyntax(
        JPEG_LOSSLESS_SV1,
        "JPEGLosslessSV1",
        "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])",
        _ENCAPSULATED,
        "image/jpeg",
    ),
    TransferSyntax(
        JPEG_LS_LOSSLESS, "JPEGLSLossless", "JPEG-LS Lossless Image Compression", _ENCAPSULATED, "image/jls"
    ),
    TransferSyntax(
        JPEG_LS_NEAR_LOSSLESS,
        "JPEGLSNearLossless",
        "JPEG-LS Lossy (Near-Lossless) Image Compression",
        _ENCAPSULATED,
        "image/jls",
        "ISO_14495_1",
    ),
    TransferSyntax(
        JPEG_2000_LOSSLESS,
        "JPEG2000Lossless",
        "JPEG 2000 Image Compression (Lossless Only)",
        _ENCAPSULATED,
        "image/jp2",
    ),
    TransferSyntax(JPEG_2000, "JPEG2000", "JPEG 2000 Image Compression", _ENCAPSULATED, "image/jp2", "ISO_15444_1"),
    TransferSyntax(
        "1.2.840.10008.1.2.4.92",
        "JPEG2000MCLossless",
        "JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)",
        _ENCAPSULATED,
        "image/jpx",
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.93",
        "JPEG2000MC",
        "JPEG 2000 Part 2 Multi-component Image Compression",
        _ENCAPSULATED,
        "image/jpx",
    ),
    TransferSyntax("1.2.840.10008.1.2.4.94", "JPIPReferenced", "JPIP Referenced", _NATIVE),
    TransferSyntax("1.2.840.10008.1.2.4.95", "JPIPReferencedDeflate", "JPIP Referenced Deflate", _DEFLATED),
    TransferSyntax(
        "1.2.840.10008.1.2.4.100",
        "MPEG2MPML",
        "MPEG2 Main Profile / Main Level",
        _ENCAPSULATED,
        "video/mpeg",
        "ISO_13818_2",
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.100.1",
        "MPEG2MPMLF",
        "Fragmentable MPEG2 Main Profile / Main Level",
        _ENCAPSULATED,
        "video/mpeg",
        "ISO_13818_2",
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.101",
        "MPEG2MPHL",
        "MPEG2 Main Profile / High Level",
        _ENCAPSULATED,
        "video/mpeg",
        "ISO_13818_2",
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.101.1",
        "MPEG2MPHLF",
        "Fragmentable MPEG2 Main Profile / High Level",
        _ENCAPSULATED,
        "video/mpeg",
        "ISO_13818_2",
    ),
    TransferSyntax(
        MPEG4_HIGH_41,
        "MPEG4HP41",
        "MPEG-4 AVC/H.264 High Profile / Level 4.1",
        _ENCAPSULATED,
        "video/mp4",
        "ISO_14496_10",
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.102.1",
        "MPEG4HP41F",
        "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1",
        _ENCAPSULATED,
        "video/mp4",
        "ISO_14496_10",
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.103",
        "MPEG4HP41BD",
        "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
        _ENCAPSULATED,
        "video/mp4",
        "ISO_14496_10",
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.103.1",
        "MPEG4HP41BDF",
        "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1",
        _ENCAPSULATED,
        "video/mp4",
        "ISO_14496_10",
    ),
    TransferSyntax(
        MPEG4_HIGH_42_2D,
        "MPEG4HP422D",
        "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video",
        _ENCAPSULATED,
        "video/mp4",
        "ISO_14496_10",
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.104.1",
        "MPEG4HP422DF",
        "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video",
        _ENCAPSULATED,
        "video/mp4",
        "ISO_14496_10",
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.105",
        "MPEG4HP423D",
        "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video",
        _ENCAPSULATED,
        "video/mp4",
        "ISO_14496_10",
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.105.1",
        "MPEG4HP423DF",
        "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video",
        _ENCAPSULATED,
        "video/mp4",
        "ISO_14496_10",
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.106",
        "MPEG4HP42STEREO",
        "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2",
        _ENCAPSULATED,
        "video/mp4",
        "ISO_14496_10",
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.4.106.1",
        "MPEG4HP42STEREOF",
        "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2",
        _ENCAPSULATED,
    ),
    TransferSyntax(
        HEVC_MAIN_51, "HEVCMP51", "HEVC/H.265 Main Profile / Level 5.1", _ENCAPSULATED, "video/H265", "ISO_23008_2"
    ),
    TransferSyntax(
        HEVC_MAIN_10_51,
        "HEVCM10P51",
        "HEVC/H.265 Main 10 Profile / Level 5.1",
        _ENCAPSULATED,
        "video/H265",
        "ISO_23008_2",
    ),
    TransferSyntax("1.2.840.10008.1.2.4.110", "JPEGXLLossless", "JPEG XL Lossless", _ENCAPSULATED, "image/jxl"),
    TransferSyntax(
        "1.2.840.10008.1.2.4.111", "JPEGXLJPEGRecompression", "JPEG XL JPEG Recompression", _ENCAPSULATED, "image/jxl"
    ),
    TransferSyntax("1.2.840.10008.1.2.4.112", "JPEGXL", "JPEG XL", _ENCAPSULATED, "image/jxl"),
    TransferSyntax(
        HTJ2K_LOSSLESS,
        "HTJ2KLossless",
        "High-Throughput JPEG 2000 Image Compression (Lossless Only)",
        _ENCAPSULATED,
        "image/jphc",
    ),
    TransferSyntax(
        HTJ2K_LOSSLESS_RPCL,
        "HTJ2KLosslessRPCL",
        "High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)",
        _ENCAPSULATED,
        "image/jphc",
    ),
    TransferSyntax(
        HTJ2K, "HTJ2K", "High-Throughput JPEG 2000 Image Compression", _ENCAPSULATED, "image/jphc", "ISO_15444_15"
    ),
    TransferSyntax("1.2.840.10008.1.2.4.204", "JPIPHTJ2KReferenced", "JPIP HTJ2K Referenced", _NATIVE),
    TransferSyntax("1.2.840.10008.1.2.4.205", "JPIPHTJ2KReferencedDeflate", "JPIP HTJ2K Referenced Deflate", _DEFLATED),
    TransferSyntax(RLE_LOSSLESS, "RLELossless", "RLE Lossless", _ENCAPSULATED, "image/dicom-rle"),
    TransferSyntax(
        "1.2.840.10008.1.2.7.1",
        "SMPTEST211020UncompressedProgressiveActiveVideo",
        "SMPTE ST 2110-20 Uncompressed Progressive Active Video",
        _NATIVE,
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.7.2",
        "SMPTEST211020UncompressedInterlacedActiveVideo",
        "SMPTE ST 2110-20 Uncompressed Interlaced Active Video",
        _NATIVE,
    ),
    TransferSyntax(
        "1.2.840.10008.1.2.7.3", "SMPTEST211030PCMDigitalAudio", "SMPTE ST 2110-30 PCM Digital Audio", _NATIVE
    ),
    TransferSyntax(
        DEFLATED_IMAGE_FRAME, "DeflatedImageFrameCompression", "Deflated Image Frame Compression", _ENCAPSULATED
    ),
    TransferSyntax(GE_PRIVATE, "", "GE private: Implicit VR Little Endian, pixel data in big endian", _IMPLICIT),
)
TRANSFER_SYNTAXES: dict[str, TransferSyntax] = {row.uid: row for row in _ROWS}
"""By UID: those of PS3.6 table A-1, retired ones too, and one that GE used."""


def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """How a data set in this transfer syntax is encoded.

    PS3.5 A.4: every encapsulated transfer syntax is explicit VR little endian; unknown and private ones are taken to
    be of that kind, too.
    """
    known = TRANSFER_SYNTAXES.get(transfer_syntax_uid)
    return _ENCAPSULATED if known is None else known.encoding


def name_of(transfer_syntax_uid: str) -> str:
    """Its name in PS3.6; the UID itself if it is unknown."""
    known = TRANSFER_SYNTAXES.get(transfer_syntax_uid)
    return transfer_syntax_uid if known is None else known.name

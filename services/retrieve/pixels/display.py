"""How the frames of an object are displayed, read from its header with pydicom. Runs in worker processes.

PS3.3 C.7.6.16: in an object with functional groups the frame's own take precedence over the shared ones, and both over
the top level.
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from gantry.common.dicom.standard.transfer_syntaxes import encoding_of
from gantry.services.retrieve.pixels.greys import Lut, ModalityTransformation
from gantry.services.retrieve.pixels.look import Function, VoiWindow
from gantry.services.retrieve.pixels.worker import CannotDo


def header_of(data: bytes, transfer_syntax: str) -> Any:
    """The header as a data set; its bytes are already inflated."""
    encoding = encoding_of(transfer_syntax)
    ds = read_dataset(BytesIO(data), not encoding.explicit, not encoding.big_endian)
    # pydicom resolves ambiguous VRs (US or SS) by Pixel Representation, which it looks for in the data set.
    ds.set_original_encoding(not encoding.explicit, not encoding.big_endian)
    return ds


class Display:
    """How frame `number`, from 1, of an object is displayed."""

    def __init__(self, header: Any, number: int, order: str = "<") -> None:
        """`order` is the byte order of OW words, which pydicom leaves as they are stored."""
        self._header = header
        self._order = order
        self._groups = [*_items(header, "PerFrameFunctionalGroupsSequence")[number - 1 : number]]
        self._groups += _items(header, "SharedFunctionalGroupsSequence")[:1]
        self._number = number

    def _macro(self, sequence: str) -> list[Any]:
        """The functional group macro of the frame, the shared one, and the top level, in this order."""
        return [*[item for group in self._groups for item in _items(group, sequence)[:1]], self._header]

    @property
    def modality(self) -> ModalityTransformation:
        """PS3.3 C.11.1, C.7.6.16.2.9."""
        for ds in self._macro("PixelValueTransformationSequence"):
            luts = _items(ds, "ModalityLUTSequence")
            if luts:
                lut = table(luts[0], "LUTDescriptor", "LUTData", self._order)
                return ModalityTransformation(lut=_signed(lut, bool(self._header.get("PixelRepresentation"))))
            slope, intercept = _number(ds, "RescaleSlope"), _number(ds, "RescaleIntercept")
            if slope is not None or intercept is not None:
                return ModalityTransformation(slope if slope else 1.0, intercept or 0.0)
        return ModalityTransformation()

    def voi(self, name: str | None) -> VoiWindow | Lut | None:
        """PS3.3 C.11.2, C.7.6.16.2.10: the VOI LUT or window called `name`; without a name the first VOI LUT, else the
        first window, else None. Raises `CannotDo` if none has this name."""
        for ds in self._macro("FrameVOILUTSequence"):
            luts, windows = _items(ds, "VOILUTSequence"), windows_of(ds)
            if name is None and (luts or windows):
                return self._lut(luts[0]) if luts else windows[0][0]
            for item in luts:
                if _same(item.get("LUTExplanation"), name):
                    return self._lut(item)
            for window, explanation in windows:
                if _same(explanation, name):
                    return window
        if name is not None:
            raise CannotDo("the object has no window of this name")
        return None

    def _lut(self, item: Any) -> Lut:
        """PS3.3 C.11.2.1.1: the input of a VOI LUT may be negative, whatever VR its descriptor was written in."""
        modality = self.modality
        negative = bool(self._header.get("PixelRepresentation")) or modality.intercept < 0
        return _signed(table(item, "LUTDescriptor", "LUTData", self._order), negative and modality.lut is None)

    @property
    def is_inverse(self) -> bool:
        """Whether the lowest value is white: PS3.3 C.11.6, C.7.6.3.1.2."""
        shape = str(self._header.get("PresentationLUTShape") or "").strip()
        if shape == "IDENTITY":
            # PS3.3 C.8.11.3.1.2: a MONOCHROME1 image must have INVERSE; if it has IDENTITY, low values stay white.
            return bool(self._header.get("PhotometricInterpretation") == "MONOCHROME1")
        return shape == "INVERSE" or self._header.get("PhotometricInterpretation") == "MONOCHROME1"

    @property
    def aspect(self) -> float:
        """Height of a pixel divided by its width: PS3.3 C.7.6.3.1.7, C.7.6.16.2.1, 10.7."""
        ratio = _value(self._header, "PixelAspectRatio")
        pairs = [ratio] if ratio else []
        for ds in self._macro("PixelMeasuresSequence"):
            pairs += [_value(ds, name) for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")]
        for pair in pairs:
            try:
                vertical, horizontal = (float(part) for part in pair)
                if 0.02 < vertical / horizontal < 50:
                    return vertical / horizontal
            except (TypeError, ValueError, ZeroDivisionError):
                continue
        return 1.0


def _items(ds: Any, keyword: str) -> list[Any]:
    sequence = ds.get(keyword)
    return [item for item in sequence if isinstance(item, Dataset)] if sequence else []


def _signed(lut: Lut, is_signed: bool) -> Lut:
    """The LUT with its first mapped value read as signed or unsigned."""
    first = lut.first & 0xFFFF
    return replace(lut, first=first - 0x10000 if is_signed and first > 0x7FFF else first)


def _value(ds: Any, keyword: str) -> Any:
    """The value of an element; None if it is not valid for its VR, as happens in the field."""
    try:
        return ds.get(keyword)
    except (ValueError, TypeError, OverflowError):
        return None


def _number(ds: Any, keyword: str) -> float | None:
    value = _value(ds, keyword)
    try:
        number = float(value[0] if isinstance(value, (list, tuple)) or hasattr(value, "append") else value)
    except (TypeError, ValueError, IndexError):
        return None
    return number if np.isfinite(number) else None


def _same(explanation: Any, name: str | None) -> bool:
    return name is not None and str(explanation or "").strip().casefold() == name.strip().casefold()


def _list(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, (str, bytes)) else [value]


def windows_of(ds: Any) -> list[tuple[VoiWindow, str]]:
    """The valid windows, and their names."""
    centers, widths = _list(_value(ds, "WindowCenter")), _list(_value(ds, "WindowWidth"))
    names = [str(name) for name in _list(ds.get("WindowCenterWidthExplanation"))]
    word = str(ds.get("VOILUTFunction") or "LINEAR").strip().upper()
    function = Function[word] if word in Function.__members__ else Function.LINEAR
    windows = []
    for place, (center, width) in enumerate(zip(centers, widths, strict=False)):
        try:
            window = VoiWindow(float(center), float(width), function)
        except (TypeError, ValueError):
            continue
        if window.is_possible and np.isfinite([window.center, window.width]).all():
            windows.append((window, names[place] if place < len(names) else ""))
    return windows


def table(ds: Any, descriptor: str, data: str, order: str) -> Lut:
    """A lookup table (PS3.3 C.11.1.1, C.11.2.1.1, C.7.6.3.1.5) from its data and its descriptor: number of entries,
    first value mapped and bits of an entry. Raises `CannotDo`."""
    try:
        count, first, bits = (int(part) for part in ds[descriptor].value)
        element = ds[data]
    except (KeyError, TypeError, ValueError):
        raise CannotDo(f"{descriptor} or {data} is missing, or cannot be") from None
    # The second of the three numbers may be meant as signed; in the first, 0 stands for 65536.
    count = count % 0x10000 or 0x10000
    entries = _entries(element.value, count, order, bits)
    if not 1 <= bits <= 16 or not len(entries):
        raise CannotDo(f"{data} cannot be")
    # Entries of eight bits that are declared as sixteen, and vice versa, occur in the field.
    if bits <= 8 and int(entries.max()) > 0xFF:
        bits = max(8, int(entries.max()).bit_length())
    return Lut(first, bits, entries[:count].astype(np.int64))


def _entries(value: Any, count: int, order: str, bits: int) -> Any:
    if not isinstance(value, bytes):
        return np.array(_list(value), np.int64) & 0xFFFF
    # One word is one entry of sixteen bits, or one of eight and a pad byte: then the descriptor decides.
    if len(value) <= count + (count & 1) and (count > 1 or bits <= 8):
        # PS3.3 C.7.9.2: two entries of eight bits in each word.
        words = np.frombuffer(value[: len(value) // 2 * 2], f"{order}u2").astype("<u2")
        return words.view(np.uint8)
    return np.frombuffer(value[: len(value) // 2 * 2], f"{order}u2")

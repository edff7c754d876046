"""The requested look of a picture (PS3.18 8.3.5.1): window, viewport, quality, media type. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

PICTURES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF"}
"""Rendered media types (PS3.18 table 8.7.3-1), the default first, and Pillow's names for them."""
MOST_TIMES = 4
"""Largest enlargement of an image, in each direction."""
MOST_SIDE = 16_384
_NUMBER = re.compile(r"[-+]?\d{1,9}(\.\d{1,9})?([eE][-+]?\d{1,2})?")
_NAME = re.compile(r"[^,\x00-\x1f]{1,64}")


class Function(Enum):
    """PS3.3 C.11.2.1.2, C.11.2.1.3."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True, slots=True)
class VoiWindow:
    """Center and width, in the units of the modality transformation's output."""

    center: float
    width: float
    function: Function = Function.LINEAR

    @property
    def is_possible(self) -> bool:
        """PS3.3 C.11.2.1.2.1, C.11.2.1.3: the linear function divides by the width less one."""
        return self.width >= 1 if self.function is Function.LINEAR else self.width > 0


@dataclass(frozen=True, slots=True)
class Viewport:
    """Maximum columns and rows of the picture, and the region it shows: from `left` and `top`, `width` columns and
    `height` rows of the image, all of them if None; a negative extent flips the picture (PS3.18 8.3.5.1.3)."""

    columns: int
    rows: int
    left: float = 0.0
    top: float = 0.0
    width: float | None = None
    height: float | None = None
    enlarge: bool = True


@dataclass(frozen=True, slots=True)
class RenderingParameters:
    """How a frame is shown: a window, or the name of one of the object's (None: its first, or its whole range); the
    viewport; the media type, and its quality from 1 to 100 if that is lossy."""

    window: VoiWindow | str | None = None
    viewport: Viewport | None = None
    kind: str = "image/jpeg"
    quality: int = 90


def look_of(
    window: str | None, viewport: str | None, kind: str = "image/jpeg", quality: str | None = None
) -> RenderingParameters:
    """The look that parameters request (PS3.18 8.3.5.1.2 to .4). Raises `ValueError` with a reason."""
    return RenderingParameters(
        None if window is None else window_of(window),
        None if viewport is None else viewport_of(viewport),
        kind,
        90 if quality is None else _quality(quality),
    )


def window_of(text: str) -> VoiWindow | str:
    """`center,width[,function]`, or the explanation that the object gives for one of its windows or VOI LUTs."""
    parts = text.split(",")
    if len(parts) == 1 and _NAME.fullmatch(text) and not _NUMBER.fullmatch(text):
        return text
    if not 2 <= len(parts) <= 3 or not all(map(_NUMBER.fullmatch, parts[:2])):
        raise ValueError("window is not CENTER,WIDTH or CENTER,WIDTH,FUNCTION")
    name = parts[2].strip().upper().replace("-", "_") if len(parts) == 3 else "LINEAR"
    if name not in Function.__members__:
        raise ValueError("the function of a window is linear, linear-exact or sigmoid")
    window = VoiWindow(float(parts[0]), float(parts[1]), Function[name])
    if not window.is_possible:
        raise ValueError("the width of a window is 1 or more, and more than 0 for linear-exact and sigmoid")
    return window


def viewport_of(text: str) -> Viewport:
    """`columns,rows[,left,top,width,height]`, of which the last four may be empty."""
    sides = text.split(",")
    if len(sides) not in (2, 6) or not all(side.isascii() and side.isdigit() and len(side) < 6 for side in sides[:2]):
        raise ValueError("viewport is not COLUMNS,ROWS or COLUMNS,ROWS,LEFT,TOP,WIDTH,HEIGHT")
    columns, rows = int(sides[0]), int(sides[1])
    if not all(0 < side <= MOST_SIDE for side in (columns, rows)):
        raise ValueError(f"a viewport has sides from 1 to {MOST_SIDE}")
    region = sides[2:] or [""] * 4
    if not all(not part or _NUMBER.fullmatch(part) for part in region):
        raise ValueError("the region of a viewport is not LEFT,TOP,WIDTH,HEIGHT")
    left, top, width, height = [float(part) if part else None for part in region]
    if (left or 0.0) < 0 or (top or 0.0) < 0 or width == 0 or height == 0:
        raise ValueError("the region of a viewport begins before the image, or is empty")
    return Viewport(columns, rows, left or 0.0, top or 0.0, width, height)


@dataclass(frozen=True, slots=True)
class Region:
    """Columns and rows of an image, from `left` and `top`, and whether they are flipped."""

    left: int
    top: int
    columns: int
    rows: int
    mirrored: bool
    upside_down: bool


def region_of(viewport: Viewport, columns: int, rows: int) -> Region:
    """The region of an image that a viewport shows. Raises `ValueError` if it is empty."""
    width = columns - viewport.left if viewport.width is None else viewport.width
    height = rows - viewport.top if viewport.height is None else viewport.height
    left, top = round(viewport.left), round(viewport.top)
    right, bottom = min(columns, round(viewport.left + abs(width))), min(rows, round(viewport.top + abs(height)))
    if left >= right or top >= bottom:
        raise ValueError("the region of the viewport is beside the image")
    return Region(left, top, right - left, bottom - top, width < 0, height < 0)


def picture_size(viewport: Viewport, columns: int, rows: int, aspect: float = 1.0) -> tuple[int, int]:
    """Size of the picture of a region of `columns` and `rows`: as large as fits, with its proportions; `aspect` is the
    height of a pixel divided by its width. Raises `ValueError` if it would be enlarged more than `MOST_TIMES`."""
    scale = min(viewport.columns / columns, viewport.rows / (rows * aspect))
    if scale > MOST_TIMES:
        if viewport.enlarge:
            raise ValueError(f"the viewport is more than {MOST_TIMES} times as large as the image")
        scale = MOST_TIMES
    return max(1, round(columns * scale)), max(1, round(rows * aspect * scale))


def _quality(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= 100):
        raise ValueError("quality is not a number from 1 to 100")
    return int(text)

"""Numbers with their nouns, and sizes, as people read them. Pure."""

from __future__ import annotations

_UNITS = ("kB", "MB", "GB", "TB")


def counted(number: int, singular: str, many: str = "") -> str:
    """`1 study`, `2 studies`; `many` is `singular` with an s where it is not given."""
    return f"{number} {singular if number == 1 else many or singular + 's'}"


def in_bytes(size: int) -> str:
    """Three digits and a unit of a thousand (not 1024): `999 bytes`, `1.23 kB`, `45.6 MB`, `789 GB`, `1234 TB`."""
    if size < 1000:
        return counted(size, "byte")
    value = float(size)
    for unit in _UNITS:
        value /= 1000
        for digits, below in ((2, 9.995), (1, 99.95), (0, 999.5)):
            if value < below:
                return f"{value:.{digits}f} {unit}"
    return f"{value:.0f} {_UNITS[-1]}"

"""The body of one STOW-RS request: opened objects as parts of multipart/related (PS3.18 8.6.1.2), of known length."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from gantry.common.errors import Corrupt, GantryError
from gantry.common.ports.index import Location
from gantry.common.web.multipart import closing, content_type, new_boundary, part_head
from gantry.services.retrieve.opening import Opened

_PIECE = 1 << 18
_DICOM = "application/dicom"


class StowBody:
    """The objects in order. The caller closes them."""

    def __init__(self, objects: Sequence[Opened]) -> None:
        self._objects = objects
        boundary = new_boundary()
        self.content_type = content_type(boundary, _DICOM)
        # Without the transfer syntax, which the file meta information has: Orthanc refuses parts that state it here.
        self._heads = [part_head(boundary, {"Content-Type": _DICOM}, first=not place) for place in range(len(objects))]
        self._closing = closing(boundary)
        self.length = sum(map(len, self._heads)) + sum(part.size for part in objects) + len(self._closing)
        """In bytes."""
        self.broken: tuple[Location, GantryError] | None = None
        """The object that could not be read to its end, and why: then the request was cut off, and not taken."""

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes. Raises `GantryError` if an object cannot be read, and sets `broken`."""
        buffer = memoryview(bytearray(_PIECE))
        for head, part in zip(self._heads, self._objects, strict=True):
            yield head
            left = part.size
            try:
                # A source compares its digest when it is read to the end.
                while count := await part.source.readinto([buffer]):
                    left -= count
                    if left < 0:
                        break
                    yield bytes(buffer[:count])
                if left:
                    raise Corrupt("it is not as long as the index says")
            except GantryError as error:
                self.broken = part.location, error
                raise
        yield self._closing

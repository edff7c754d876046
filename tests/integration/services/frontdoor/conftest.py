"""The fixtures of this room."""

from tests.integration.services.frontdoor.open_door import backend, door

__all__ = ["backend", "door"]

"""A server of a test session."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Server:
    """A running server: its address, what it runs on, what must be ended, and for a process the command that starts it
    again."""

    name: str
    address: str
    runs_on: str
    container: str = ""
    image: str = ""
    pids: list[int] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    folder: str = ""

    @property
    def endpoint(self) -> str:
        """The address without credentials."""
        return self.address.split()[0]


class Unavailable(Exception):
    """Neither an engine nor the parts are available."""

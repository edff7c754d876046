"""Tables of tests that a run leaves to another run (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

ALL: tuple[str, ...] = ("",)
"""The words of an entry that selects every test it names."""


class Table:
    """Entries: `FILE` or `FILE::TEST` below tests/, and words, one of which must be in the parameters of a test. The
    name of a file or test may be a prefix of names."""

    def __init__(self, entries: Mapping[str, Sequence[str]]) -> None:
        self.entries = entries
        self._by_file: dict[str, list[str]] = {}

    def __contains__(self, nodeid: str) -> bool:
        file = nodeid.partition("::")[0]
        if file not in self._by_file:
            self._by_file[file] = [e for e in self.entries if file.startswith(f"tests/{e.partition('::')[0]}")]
        return any(self.means(entry, nodeid) for entry in self._by_file[file])

    def means(self, entry: str, nodeid: str) -> bool:
        """Whether this entry selects a test, by pytest's name for it."""
        path, bracket, parameters = nodeid.partition("[")
        words = self.entries[entry]
        return path.startswith(f"tests/{entry}") and any(word in f"{bracket}{parameters}" for word in words)

    def idle(self, nodeids: Iterable[str]) -> list[str]:
        """The entries that select none of these tests."""
        named = list(nodeids)
        return [entry for entry in self.entries if not any(self.means(entry, nodeid) for nodeid in named)]

"""`tests.support.shares`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.shares import share_of

FILES = st.dictionaries(st.text(min_size=1, max_size=8), st.integers(0, 50_000), max_size=60)


@given(FILES, st.integers(1, 8))
def test_every_file_is_of_exactly_one_process(files: dict[str, int], processes: int) -> None:
    shares = [share_of(process, processes, files.items()) for process in range(processes)]
    assert sorted(name for share in shares for name in share) == sorted(files)


@given(FILES, st.integers(1, 8))
def test_no_process_has_more_than_the_others_by_more_than_a_file(files: dict[str, int], processes: int) -> None:
    shares = [share_of(process, processes, files.items()) for process in range(processes)]
    totals = [sum(files[name] for name in share) for share in shares]
    assert max(totals) - min(totals) <= max(files.values(), default=0)

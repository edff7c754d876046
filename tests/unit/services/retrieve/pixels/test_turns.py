"""Whose job is next."""

from __future__ import annotations

from gantry.services.retrieve.pixels.turns import WaitingJobs


def test_clients_have_their_turns_in_rotation_and_their_jobs_in_order() -> None:
    turns: WaitingJobs[str] = WaitingJobs(100, 100)
    for job in ("a1", "a2", "a3", "b1", "c1", "c2"):
        assert turns.put(job[0], job)
    assert [turns.take() for _ in range(3)] == ["a1", "b1", "c1"]
    assert turns.put("d", "d1")
    assert [turns.take() for _ in range(5)] == ["a2", "c2", "d1", "a3", None]


def test_a_job_that_is_forgotten_is_nobodys_turn() -> None:
    turns: WaitingJobs[str] = WaitingJobs(3, 2)
    assert turns.put("a", "a1")
    assert turns.put("a", "a2")
    assert not turns.put("a", "a3")
    assert turns.put("b", "b1")
    assert not turns.put("c", "c1")
    assert turns.remove("a", "a1")
    assert not turns.remove("a", "a1")
    assert turns.remove("b", "b1")
    assert len(turns) == 1
    assert [turns.take(), turns.take()] == ["a2", None]

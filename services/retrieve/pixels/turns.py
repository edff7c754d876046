"""Which job is next: clients take turns, so that many jobs of one client do not hold up another. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

Job = TypeVar("Job")


class WaitingJobs(Generic[Job]):
    """Waiting jobs: at most `most` of all clients together, and `most_of_one` of each."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._clients: OrderedDict[str, deque[Job]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, client: str, job: Job) -> bool:
        """Queue a job after the others of its client; False if there is no room."""
        jobs = self._clients.get(client)
        if self._count >= self._most or len(jobs or ()) >= self._most_of_one:
            return False
        if jobs is None:
            jobs = self._clients[client] = deque()
        jobs.append(job)
        self._count += 1
        return True

    def take(self) -> Job | None:
        """The next job of the client whose turn it is; None if no job waits."""
        if not self._clients:
            return None
        client, jobs = self._clients.popitem(last=False)
        job = jobs.popleft()
        self._count -= 1
        if jobs:
            self._clients[client] = jobs
        return job

    def remove(self, client: str, job: Job) -> bool:
        """Remove an abandoned job; whether it was still waiting."""
        jobs = self._clients.get(client)
        if jobs is None or job not in jobs:
            return False
        jobs.remove(job)
        self._count -= 1
        if not jobs:
            del self._clients[client]
        return True

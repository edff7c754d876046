"""The job file of an import in place: the objects, what each is, and its outcome (SQLite)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gantry.common.errors import ConfigError
from gantry.common.ports.foreign import ForeignObject

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS objects (
    key BLOB PRIMARY KEY, tag TEXT NOT NULL, size INTEGER NOT NULL, run INTEGER NOT NULL, state TEXT NOT NULL,
    study TEXT NOT NULL DEFAULT '', series TEXT NOT NULL DEFAULT '', instance TEXT NOT NULL DEFAULT '',
    length INTEGER NOT NULL DEFAULT 0, receipt TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '')
    WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_state ON objects (state);
CREATE INDEX IF NOT EXISTS by_instance ON objects (study, series, instance);
"""
_PAGE = 500


class ObjectState(StrEnum):
    """What became of an object."""

    NEW = "new"
    MISSING = "missing"
    """The archive does not have it (`--dry-run`)."""
    TAKEN = "taken"
    """In place, by this job."""
    HERE = "here"
    """The archive had it."""
    DIFFERENT = "different"
    """The archive has the instance with a data set of another length: left alone."""
    DUPLICATE = "duplicate"
    """Another key of the bucket is the same instance, and counts."""
    NOT_DICOM = "not DICOM"
    REFUSED = "refused"
    """DICOM that the archive refuses, as over C-STORE."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ObjectIdentity:
    """The identity that an object states; `length` is that of its data set in bytes."""

    study: str
    series: str
    instance: str
    length: int


class InPlaceJob:
    """An import in place that can be resumed."""

    def __init__(self, path: Path, source: str, target: str) -> None:
        """Raises `ConfigError` if the file belongs to another import, or is not a job file."""
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            # The notes survive the death of this process. After a power cut the last of them may be missing: then the
            # index knows what is here.
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            for name, value in (("source", source), ("target", target), ("run", "0")):
                self._db.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, value))
                if name != "run" and (fact := self._fact(name)) != value:
                    reason = f"it belongs to an import with the {name} {fact}; name another file with --job"
                    raise ConfigError(str(path), None, reason)
            self._run = int(self._fact("run")) + 1
            self._db.execute("UPDATE facts SET value = ? WHERE name = 'run'", (str(self._run),))
        except sqlite3.DatabaseError as error:
            raise ConfigError(str(path), None, f"it is not a job file: {error}") from None

    def close(self) -> None:
        self._db.close()

    def see(self, objects: Sequence[ForeignObject]) -> None:
        """The source lists these objects. One with a different tag than before is examined again."""
        rows = [(_bytes(blob.key), blob.tag, blob.size, self._run) for blob in objects]
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT INTO objects (key, tag, size, run, state) VALUES (?, ?, ?, ?, 'new') "
            "ON CONFLICT (key) DO UPDATE SET "
            "state = CASE WHEN tag = excluded.tag AND size = excluded.size THEN state ELSE 'new' END, "
            "receipt = CASE WHEN tag = excluded.tag AND size = excluded.size THEN receipt ELSE '' END, "
            "tag = excluded.tag, size = excluded.size, run = excluded.run",
            rows,
        )
        self._db.execute("COMMIT")

    def reset_objects(self) -> None:
        """Examine all objects again. One that is taken a second time (it was deleted meanwhile) gets a new receipt."""
        self._db.execute(
            "UPDATE objects SET receipt = CASE WHEN state = 'taken' THEN '' ELSE receipt END, state = 'new'"
        )

    def reconsider(self) -> None:
        """Examine duplicates again if the object that they duplicate is gone."""
        self._db.execute(
            "UPDATE objects SET state = 'new' WHERE state = 'duplicate' AND NOT EXISTS (SELECT 1 FROM objects AS other "
            "WHERE other.study = objects.study AND other.series = objects.series "
            "AND other.instance = objects.instance AND other.key != objects.key AND other.state IN ('taken', 'here'))"
        )

    def left(self) -> Iterator[ForeignObject]:
        """The objects that this run listed and has not finished, in the order of keys."""
        after = b""
        query = (
            "SELECT key, size, tag FROM objects WHERE key > ? AND run = ? AND state IN ('new', 'missing', 'failed') "
            "ORDER BY key LIMIT ?"
        )
        while rows := self._db.execute(query, (after, self._run, _PAGE)).fetchall():
            for key, size, tag in rows:
                yield ForeignObject(key.decode("utf-8", "surrogateescape"), size, tag)
            after = rows[-1][0]

    def count_left(self) -> int:
        """How many objects `left` yields."""
        query = "SELECT count(*) FROM objects WHERE run = ? AND state IN ('new', 'missing', 'failed')"
        [(count,)] = self._db.execute(query, (self._run,))
        return int(count)

    def same(self, key: str, identity: ObjectIdentity) -> int | None:
        """The length of the data set of another object of this job that is the same instance and takes precedence; None
        if there is none."""
        query = (
            "SELECT length FROM objects WHERE study = ? AND series = ? AND instance = ? AND key != ? AND run = ? "
            "AND state IN ('taken', 'here', 'missing', 'new', 'failed') AND length > 0 ORDER BY key LIMIT 1"
        )
        names = identity.study, identity.series, identity.instance
        row = self._db.execute(query, (*names, _bytes(key), self._run)).fetchone()
        return None if row is None else int(row[0])

    def note(self, key: str, identity: ObjectIdentity) -> None:
        """What an object is."""
        self._db.execute(
            "UPDATE objects SET study = ?, series = ?, instance = ?, length = ? WHERE key = ?",
            (identity.study, identity.series, identity.instance, identity.length, _bytes(key)),
        )

    def receipt(self, key: str, new: str) -> str:
        """The receipt assigned to an object, also by a run that was killed; `new` if it has none."""
        self._db.execute("UPDATE objects SET receipt = ? WHERE key = ? AND receipt = ''", (new, _bytes(key)))
        [(receipt,)] = self._db.execute("SELECT receipt FROM objects WHERE key = ?", (_bytes(key),))
        return str(receipt)

    def given(self, key: str) -> str:
        """The receipt assigned to an object; "" for none."""
        [(receipt,)] = self._db.execute("SELECT receipt FROM objects WHERE key = ?", (_bytes(key),))
        return str(receipt)

    def tell(self, key: str, state: ObjectState, reason: str = "") -> None:
        """What became of an object."""
        self._db.execute("UPDATE objects SET state = ?, reason = ? WHERE key = ?", (state.value, reason, _bytes(key)))

    def counts(self) -> dict[str, tuple[int, int]]:
        """How many of the objects listed in this run are in each state, and their bytes."""
        rows = self._db.execute(
            "SELECT state, count(*), sum(size) FROM objects WHERE run = ? GROUP BY state", (self._run,)
        )
        return {state: (count, size) for state, count, size in rows}

    def gone(self) -> int:
        """How many taken objects the source no longer lists."""
        query = "SELECT count(*) FROM objects WHERE run != ? AND state = 'taken'"
        [(count,)] = self._db.execute(query, (self._run,))
        return int(count)

    def report(self) -> Iterator[tuple[str, ...]]:
        """All objects except those taken or already here: kind, study, series, instance, key, detail. `gone` objects
        were taken and are no longer listed."""
        query = (
            "SELECT CASE WHEN run = ? THEN state ELSE 'gone' END, study, series, instance, key, reason FROM objects "
            "WHERE (run = ? AND state NOT IN ('taken', 'here')) OR (run != ? AND state = 'taken') ORDER BY key"
        )
        for kind, study, series, instance, key, reason in self._db.execute(query, (self._run,) * 3):
            yield kind, study, series, instance, key.decode("utf-8", "backslashreplace"), reason

    def studies(self) -> Iterator[str]:
        """The studies of the objects listed in this run."""
        query = "SELECT DISTINCT study FROM objects WHERE run = ? AND study != '' ORDER BY study"
        yield from (study for (study,) in self._db.execute(query, (self._run,)).fetchall())

    def instances(self, study: str) -> set[tuple[str, str]]:
        """Series and SOP Instance UIDs of a study, as far as they are known."""
        query = "SELECT DISTINCT series, instance FROM objects WHERE run = ? AND study = ?"
        return set(self._db.execute(query, (self._run, study)).fetchall())

    def _fact(self, name: str) -> str:
        [(value,)] = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,))
        return str(value)


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")

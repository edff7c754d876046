"""The job file: the studies, the outcome of each, and the differences between both sides (SQLite)."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from gantry.cli.importing.model import Finding, Study
from gantry.common.errors import ConfigError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS studies (
    uid TEXT PRIMARY KEY, attributes TEXT NOT NULL, instances INTEGER, state TEXT NOT NULL DEFAULT 'new',
    source INTEGER NOT NULL DEFAULT 0, target INTEGER NOT NULL DEFAULT 0, stored INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS by_state ON studies (state);
CREATE TABLE IF NOT EXISTS findings (
    study TEXT NOT NULL, kind TEXT NOT NULL, series TEXT NOT NULL, instance TEXT NOT NULL, detail TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS of_study ON findings (study);
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, study TEXT NOT NULL, series TEXT NOT NULL, instance TEXT NOT NULL, class TEXT NOT NULL,
    syntax TEXT NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL, changed INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS files_of_study ON files (study);
"""


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """The outcome of a study: instances on both sides before, stored now, bytes sent."""

    source: int
    target: int
    stored: int = 0
    bytes: int = 0
    findings: Sequence[Finding] = ()
    reason: str = ""

    @property
    def whole(self) -> bool:
        """Whether the target has all instances of the source."""
        return not self.reason and not any(finding.kind in ("missing", "failed") for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Totals:
    """The totals of a job: studies by state, instances, bytes, and findings by kind."""

    states: dict[str, int]
    source: int
    stored: int
    bytes: int
    kinds: dict[str, int]


class ImportJob:
    """An import that can be continued. States of a study: new, done, failed, compared (by a dry run)."""

    def __init__(self, path: Path, source: str, target: str) -> None:
        """Raises `ConfigError` if the file belongs to an import with another source or target, or to one that is
        running, or is not a job file."""
        self._lock = _locked(path)
        try:
            self.db = sqlite3.connect(path, isolation_level=None)
            self.db.execute("PRAGMA journal_mode=WAL")
            self.db.executescript(_SCHEMA)
            for name, value in (("source", source), ("target", target)):
                self.db.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, value))
                [(stored_value,)] = self.db.execute("SELECT value FROM facts WHERE name = ?", (name,))
                if stored_value != value and self._is_empty():
                    # The job is empty, usually because the first command was mistyped.
                    self.db.execute("UPDATE facts SET value = ? WHERE name = ?", (value, name))
                elif stored_value != value:
                    reason = f"it belongs to an import with the {name} {stored_value}; name another file with --job"
                    raise ConfigError(str(path), None, reason)
        except sqlite3.OperationalError as error:
            raise ConfigError(str(path), None, f"the job file cannot be used: {error}") from None
        except sqlite3.DatabaseError as error:
            raise ConfigError(str(path), None, f"it is not a job file: {error}") from None

    def _is_empty(self) -> bool:
        [(has_rows,)] = self.db.execute("SELECT EXISTS (SELECT 1 FROM studies) OR EXISTS (SELECT 1 FROM files)")
        return not has_rows

    def close(self) -> None:
        self.db.close()
        os.close(self._lock)

    def see(self, study: Study) -> None:
        """Record that the source lists this study. A study that was done is processed again if its count changed."""
        attributes = json.dumps(dict(study.attributes))
        self.db.execute(
            "INSERT INTO studies (uid, attributes, instances) VALUES (?, ?, ?) ON CONFLICT (uid) DO UPDATE SET"
            " state = CASE WHEN instances IS excluded.instances THEN state ELSE 'new' END,"
            " attributes = excluded.attributes, instances = excluded.instances",
            (study.uid, attributes, study.instances),
        )

    def list_anew(self) -> None:
        """Delete the findings of the previous listing of the source."""
        self.db.execute("DELETE FROM findings WHERE study = ''")

    def note(self, finding: Finding) -> None:
        """Record a finding at the source that belongs to no study."""
        self.db.execute(
            "INSERT INTO findings VALUES ('', ?, ?, ?, ?)",
            (finding.kind, finding.series, finding.instance, finding.detail),
        )

    def reset_studies(self) -> None:
        """Mark all studies for processing."""
        self.db.execute("UPDATE studies SET state = 'new', tries = 0")

    def left(self, *, compared: bool) -> Iterator[Study]:
        """The studies to process, in order; with `compared`, without those that a dry run has compared."""
        states = ("done", "compared") if compared else ("done", "done")
        rows = self.db.execute(
            "SELECT uid, attributes, instances FROM studies WHERE state NOT IN (?, ?) ORDER BY uid", states
        )
        for uid, attributes, instances in rows.fetchall():
            yield Study(uid, json.loads(attributes), instances)

    def tell(self, study: str, state: str, outcome: StudyOutcome) -> None:
        """Record the outcome of a study; replaces its earlier findings."""
        self.db.execute("BEGIN")
        self.db.execute(
            "UPDATE studies SET state = ?, source = ?, target = ?, stored = stored + ?, bytes = bytes + ?,"
            " tries = tries + 1, reason = ? WHERE uid = ?",
            (state, outcome.source, outcome.target, outcome.stored, outcome.bytes, outcome.reason, study),
        )
        self.db.execute("DELETE FROM findings WHERE study = ?", (study,))
        self.db.executemany(
            "INSERT INTO findings VALUES (?, ?, ?, ?, ?)",
            [(study, finding.kind, finding.series, finding.instance, finding.detail) for finding in outcome.findings],
        )
        self.db.execute("COMMIT")

    def totals(self) -> Totals:
        """The totals of all runs of the job."""
        states = dict(self.db.execute("SELECT state, count(*) FROM studies GROUP BY state").fetchall())
        [(source, stored, size)] = self.db.execute(
            "SELECT coalesce(sum(source), 0), coalesce(sum(stored), 0), coalesce(sum(bytes), 0) FROM studies"
        )
        kinds = dict(self.db.execute("SELECT kind, count(*) FROM findings GROUP BY kind").fetchall())
        return Totals(states, source, stored, size, kinds)

    def report(self) -> Iterator[tuple[str, str, str, str, str]]:
        """Study, kind, series, instance, detail: whole studies that failed, and every finding."""
        yield from self.db.execute(
            "SELECT uid, 'failed', '', '', reason FROM studies WHERE reason <> ''"
            " UNION ALL SELECT study, kind, series, instance, detail FROM findings ORDER BY 1, 2, 3, 4"
        )


def _locked(path: Path) -> int:
    """A descriptor that locks the job for this process; a killed process leaves only an empty file beside the job file.
    On a network disk a lock on SQLite's own file would lock SQLite out."""
    beside = path.with_name(f"{path.name}.lock")
    try:
        lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise ConfigError(str(path), None, f"the job file cannot be used: {error.strerror}") from None
    try:
        flock(lock, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise ConfigError(str(path), None, "another import is running with this job file") from None
    except OSError as error:
        os.close(lock)
        raise ConfigError(str(path), None, f"the job file cannot be locked: {error.strerror}") from None
    return lock

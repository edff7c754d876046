"""The effect of the corrections in the tables on a study."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from gantry.common.lifecycle import CorrectionEffect, Corrections, effect_of


def corrections_of(connection: sqlite3.Connection, partition: str, study: str = "", patient: str = "") -> Corrections:
    """All corrections of a study, or of a patient."""
    row = connection.execute(
        "SELECT state FROM correction WHERE partition = ? AND study = ? AND patient = ?", (partition, study, patient)
    ).fetchone()
    return Corrections.unpack(row[0] if row is not None else b"")


def effect(
    connection: sqlite3.Connection,
    partition: str,
    study: str,
    own: Mapping[int, Any],
    of_study: Corrections | None = None,
) -> tuple[CorrectionEffect, dict[str, Corrections]]:
    """The effect on a study with the own values `own`, and the corrections of the patients on the walk. `of_study`
    replaces its own corrections."""
    of_study = corrections_of(connection, partition, study) if of_study is None else of_study
    known: dict[str, Corrections] = {}
    while True:
        outcome = effect_of(own, study, of_study, known)
        if isinstance(outcome, CorrectionEffect):
            return outcome, known
        known[outcome.patient] = corrections_of(connection, partition, patient=outcome.patient)

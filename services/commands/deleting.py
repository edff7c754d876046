"""`gantry delete --where`: lists the studies that match, asks, and deletes them with a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import click

from gantry.cli.output import print_columns, print_json, progress_bar
from gantry.common.amounts import counted
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.dicom.query.attributes import AttributeTable
from gantry.common.dicom.query.matching import Query
from gantry.common.errors import GantryError
from gantry.common.web.errors import HttpProblem
from gantry.common.web.routes import Match, Resource
from gantry.services.commands.on_stores import deletions_of, show
from gantry.services.lifecycle.bulk import BulkDeletion, BulkResult, MatchingStudy, matching_studies
from gantry.services.process.stores import Stores
from gantry.services.query.qido_parameters import search_of
from gantry.services.requester import Requester

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Deleting:
    """A deletion that a person requested."""

    requester: Requester
    rules: Sequence[str]
    dry_run: bool
    yes: bool
    rate: float
    as_json: bool

    async def work(self, stores: Stores, settings: Settings) -> None:
        """List, ask, delete."""
        query = query_of(self.rules, await stores.index.attributes())
        studies = await matching_studies(stores.index, query)
        if self.dry_run or not self.as_json:
            self._list(studies)
        if self.dry_run or not studies:
            return
        if not self.yes:
            click.confirm(f"Delete {_studies(studies)}?", abort=True, err=True)
        clock = SystemClock()
        deletions = deletions_of(stores, settings)
        bulk = BulkDeletion(deletions, clock, self.rate)
        with progress_bar("deleting", len(studies), quiet=self.as_json) as bar:
            result = await bulk.run([study.uid for study in studies], self.requester, bar.advance)
        self._report(result)

    def _list(self, studies: Sequence[MatchingStudy]) -> None:
        if self.as_json:
            for study in studies:
                print_json(asdict(study))
            return
        shown = studies if self.dry_run else studies[:_SHOWN]
        rows = [(s.uid, s.date, "/".join(s.modalities), str(s.instances)) for s in shown]
        if rows:
            print_columns(("Study Instance UID", "date", "modalities", "instances"), rows)
        if len(studies) > len(shown):
            click.echo(f"and {len(studies) - len(shown)} more")
        click.echo(f"{_studies(studies)}, {counted(sum(study.instances for study in studies), 'instance')}")

    def _report(self, result: BulkResult) -> None:
        rows = [
            ("studies deleted", str(result.studies)),
            ("receipts", str(result.receipts)),
            ("deleted already", str(result.gone)),
            *(("held or retained, not deleted", uid) for uid in result.held),
        ]
        show(self.as_json, asdict(result), ("delete", "result"), list(rows))
        if result.held:
            sys.exit(1)


def query_of(rules: Sequence[str], attributes: AttributeTable) -> Query:
    """A query for the studies that match. A rule that would be ignored is refused, since the query would match more
    than intended. Raises `click.UsageError`."""
    pairs = [rule.split("=", 1) for rule in rules]
    if bad := next((pair[0] for pair in pairs if len(pair) < 2 or not pair[1].strip("*?")), None):
        raise click.UsageError(f"--where {bad}: a rule is KEY=VALUE with a value")
    if len({key for key, _ in pairs}) < len(pairs):
        raise click.UsageError("--where: a key is given twice; several values of one key are separated by \\")
    try:
        search = search_of(Match(Resource.SEARCH_STUDIES), [(key, value) for key, value in pairs], attributes)
    except (HttpProblem, GantryError) as error:
        raise click.UsageError(f"--where: {error}") from error
    if search.warnings:
        raise click.UsageError(f"--where: {search.warnings[0]}")
    if len(search.query.conditions) < len({key for key, _ in pairs}):
        raise click.UsageError(
            "--where: a rule would be ignored: a parameter of searches, a value that matches all, or a key given twice"
        )
    return search.query


def _studies(studies: Sequence[MatchingStudy]) -> str:
    return counted(len(studies), "study", "studies")

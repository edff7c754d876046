"""`gantry usage`: the stored amount, by modality, sender and month."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from gantry.cli.output import print_columns, print_json
from gantry.common.amounts import counted, in_bytes
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.runtime.quota.watching import QuotaStand
from gantry.common.telemetry.metrics import Metrics
from gantry.services.commands.on_stores import options, run
from gantry.services.maintenance.usage import Amount, Usage, UsageCounter
from gantry.services.process.quotas import quota_of
from gantry.services.process.stores import Stores
from gantry.services.whereabouts.words import moment

_INSIDE = ("place", "by", "saved_at", "settled")
"""Fields of a count that are not shown."""


@click.command()
@options
@click.option("--count", "anew", is_flag=True, help="Count now, instead of showing the last count.")
def usage(config: Path | None, data: Path | None, as_json: bool, anew: bool) -> None:
    """Show how much is stored, by modality, by sender, and by month of arrival.

    The indexer role counts automatically, every `upkeep.usage_every` seconds: current objects, by the bytes of their
    data sets. If `storage.quota` is set, its use is shown, too: the last count, and what arrived since.

    \b
        gantry usage
        gantry usage --count --json
    """

    async def work(stores: Stores, settings: Settings) -> None:
        rate = 0.0 if anew else settings.upkeep.usage_rate
        counter = UsageCounter(stores.objects, stores.index, SystemClock(), Metrics(), DEFAULT_PARTITION, rate=rate)
        state = await counter.passes.latest()
        if anew:
            shown = _progress if sys.stderr.isatty() and not as_json else lambda _: None
            state = await counter.count(None, shown)
        if state is None:
            raise ConfigError("usage", None, "nothing was counted yet: run `gantry usage --count`")
        quota = quota_of(settings, stores.objects, SystemClock(), Metrics())
        if quota is not None:
            await quota.look()
        _show(state, None if quota is None else quota.stand(), as_json)

    run(config, data, work, on_record=False)


def _progress(state: Usage) -> None:
    end = "\n" if state.finished_at else "\r"
    click.echo(f"{counted(state.studies, 'study', 'studies')}, {in_bytes(state.bytes)}{end}", nl=False, err=True)


def _show(state: Usage, quota: QuotaStand | None, as_json: bool) -> None:
    if as_json:
        shown = {name: value for name, value in asdict(state).items() if name not in _INSIDE}
        print_json(shown | ({} if quota is None else {"quota": asdict(quota)}))
        return
    when = moment(state.finished_at) if state.finished_at else f"not finished, begun {moment(state.begun_at)}"
    click.echo(f"{counted(state.instances, 'instance')}, {in_bytes(state.bytes)}, counted {when}")
    if quota is not None:
        click.echo(_of_quota(quota))
    _table("modality", _by_size(state.modalities))
    _table("sent by", _by_size(state.senders))
    _table("month", sorted(state.months.items()))


def _of_quota(quota: QuotaStand) -> str:
    share = f"{100 * quota.used / quota.bytes:.0f} %"
    words = f"quota: {in_bytes(quota.used)} of {in_bytes(quota.bytes)} ({share})"
    if not quota.counted_at:
        return f"{words}; no count has finished yet, so earlier objects are not included: run `gantry usage --count`"
    if quota.late:
        return f"{words}; its count is old ({moment(quota.counted_at)}): objects deleted since may still be included"
    return words


def _by_size(amounts: dict[str, Amount]) -> list[tuple[str, Amount]]:
    return sorted(amounts.items(), key=lambda pair: -pair[1][1])


def _table(label: str, amounts: list[tuple[str, Amount]]) -> None:
    click.echo("")
    rows = [[name or "not known", str(instances), in_bytes(size)] for name, (instances, size) in amounts]
    print_columns((label, "instances", "bytes"), rows)

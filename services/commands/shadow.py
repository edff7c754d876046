"""`gantry shadow`: the comparison of two archives' answers, before a switch."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from gantry.cli.output import print_columns, print_json
from gantry.common.amounts import counted, in_bytes
from gantry.common.clock import SystemClock
from gantry.common.config.settings import Settings
from gantry.common.errors import ConfigError
from gantry.services.commands.on_stores import options, run
from gantry.services.frontdoor.shadow.keeping import saved
from gantry.services.frontdoor.shadow.tally import SIDES, ComparisonTally, Example, added_up, verdict
from gantry.services.process.stores import Stores
from gantry.services.whereabouts.words import moment


@click.command()
@options
@click.option("--days", type=click.IntRange(1), help="Only the last so many days (UTC).")
@click.option("--examples", type=click.IntRange(0, 20), default=3, show_default=True, help="Examples of each kind.")
def shadow(config: Path | None, data: Path | None, as_json: bool, days: int | None, examples: int) -> None:
    """Show the differences between the answers of Gantry and of another archive, and a verdict on the switch.

    The front door counts them while `door.shadow` names the other archive (docs/shadow.md). The counts of all processes
    of the door are added up, and saved every 15 seconds.

    \b
        gantry shadow
        gantry shadow --days 7 --json
    """

    async def work(stores: Stores, settings: Settings) -> None:
        since = ""
        if days is not None:
            today = datetime.fromtimestamp(SystemClock().now_us() / 1e6, UTC)
            since = (today - timedelta(days=days - 1)).strftime("%Y-%m-%d")
        whole = added_up([tally async for tally in saved(stores.objects, since)])
        if not whole.first:
            raise ConfigError(
                "shadow", None, "nothing was compared: is `door.shadow` set at the door (docs/shadow.md)?"
            )
        _show_json(whole, settings, examples) if as_json else _show(whole, settings, examples)

    run(config, data, work, on_record=False)


def _show(whole: ComparisonTally, settings: Settings, examples: int) -> None:
    click.echo(f"Peers are answered by {'the other archive' if settings.door.shadow.answers == 'other' else 'Gantry'}.")
    click.echo(f"Compared from {moment(whole.first)} to {moment(whole.last)}.")
    for sentence in verdict(whole):
        click.echo(sentence)
    waits = whole.waits
    if waits.objects:
        objects = counted(waits.objects, "object waits", "objects wait")
        click.echo(
            f"{objects} in the door's spool ({in_bytes(waits.bytes)}), the oldest since {moment(waits.oldest)}; "
            f"so it was at {moment(waits.at)}."
        )
    if whole.operations:
        click.echo("")
        columns = (
            "operation",
            "compared",
            "same",
            "different",
            *(f"{side} {q}" for side in SIDES for q in ("50 %", "95 %")),
        )
        print_columns(columns, [_row(whole, operation) for operation in whole.operations])
    _table(("operation", "difference", "answers"), [[*key, f"{n}"] for key, n in whole.differences.most_common()])
    _table(("given up", "times"), [[reason, f"{n}"] for reason, n in whole.given_up.most_common()])
    _table(("never asked twice", "requests"), [[name, f"{n}"] for name, n in whole.not_mirrored.most_common()])
    rows = [
        [
            moment(example.at),
            example.operation,
            example.kind,
            example.calling,
            ", ".join(example.uids[:2]),
            example.words,
        ]
        for example in _examples(whole, examples)
    ]
    _table(("when", "operation", "difference", "AE title", "UIDs", "what"), rows)


def _row(whole: ComparisonTally, operation: str) -> list[str]:
    same, different = whole.same[operation], whole.different[operation]
    times = [_seconds(whole.quantile(operation, side, share)) for side in SIDES for share in (0.5, 0.95)]
    return [operation, f"{same + different}", f"{same}", f"{different}", *times]


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return "more" if math.isinf(value) else f"{value:g} s"


def _table(columns: tuple[str, ...], rows: list[list[str]]) -> None:
    if rows:
        click.echo("")
        print_columns(columns, rows)


def _examples(whole: ComparisonTally, most: int) -> list[Example]:
    seen: dict[tuple[str, str], int] = {}
    sample = []
    for example in whole.examples:
        kind = example.operation, example.kind
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= most:
            sample.append(example)
    return sample


def _show_json(whole: ComparisonTally, settings: Settings, examples: int) -> None:
    print_json(
        {
            "answers": settings.door.shadow.answers,
            "first": whole.first,
            "last": whole.last,
            "days": len(whole.days),
            "operations": {
                operation: {
                    "same": whole.same[operation],
                    "different": whole.different[operation],
                    "seconds": {
                        side: {
                            name: _finite(whole.quantile(operation, side, q))
                            for name, q in (("p50", 0.5), ("p95", 0.95))
                        }
                        for side in SIDES
                    },
                }
                for operation in whole.operations
            },
            "differences": [
                {"operation": operation, "kind": kind, "answers": n}
                for (operation, kind), n in whole.differences.most_common()
            ],
            "waiting": {
                "objects": whole.waits.objects,
                "bytes": whole.waits.bytes,
                "oldest": whole.waits.oldest,
                "at": whole.waits.at,
            },
            "given_up": dict(whole.given_up.most_common()),
            "not_mirrored": dict(whole.not_mirrored.most_common()),
            "examples": [asdict(example) for example in _examples(whole, examples)],
            "words": verdict(whole),
        }
    )


def _finite(value: float | None) -> float | None:
    return None if value is None or math.isinf(value) else value

"""`gantry bench`."""

from __future__ import annotations

from datetime import datetime

import click

from gantry.cli.day.plan import day, percentiles
from gantry.cli.day.playing import Playing, Result
from gantry.cli.output import json_option, print_json, print_table, progress_bar
from gantry.cli.peers import EXIT_FAILED, calls_a_peer
from gantry.common.clock import SystemClock
from gantry.common.net import Peer

_WHAT = ("association", "store", "study sent", "find", "study fetched")


def _hours(_: click.Context, __: click.Parameter, value: str) -> tuple[float, float]:
    first, _dash, last = value.partition("-")
    try:
        hours = float(first), float(last)
    except ValueError:
        hours = 0.0, 0.0
    if not 0 <= hours[0] < hours[1] <= 24:
        raise click.BadParameter(f"{value!r} are not hours of a day: 0-24, 8-12")
    return hours


@click.command()
@calls_a_peer
@click.option("--studies", type=click.IntRange(1), default=300, show_default=True, help="Studies of the whole day.")
@click.option("--hours", callback=_hours, default="0-24", show_default=True, help="Play these hours of it alone.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0.1),
    default=60.0,
    show_default=True,
    help="How many times faster than real time.",
)
@click.option(
    "--looks",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="How often a study is viewed, on average.",
)
@click.option("--images", type=click.IntRange(1), default=2000, show_default=True, help="Images of a study at most.")
@click.option(
    "--at-once",
    type=click.IntRange(1, 200),
    default=20,
    show_default=True,
    help="Most modalities, and most workstations, that work at once.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same day.")
@json_option
async def bench(
    peer: Peer,
    studies: int,
    hours: tuple[float, float],
    speed: float,
    looks: float,
    images: int,
    at_once: int,
    seed: int,
    as_json: bool,
    timeout: float,
) -> int:
    """Play a hospital's day against an archive: modalities send what they do, workstations search and fetch.

    Never use it on an archive with patients: the images that it sends (patients GANTRY-BENCH-…) stay there.

    \b
    gantry bench GANTRY@127.0.0.1 --studies 100 --hours 8-10 --speed 120
    """
    clock = SystemClock()
    planned = day(studies, seed, hours=hours, looks=looks, most_images=images)
    if not planned:
        click.echo("gantry: no study is planned in these hours: give more --studies, or more --hours", err=True)
        return EXIT_FAILED
    size = sum(study.images * study.modality.image_bytes for study in planned)
    count = sum(study.images for study in planned)
    if not as_json:
        words = f"{len(planned)} studies, {count} images, {size / 1e9:.2f} GB"
        click.echo(f"{words} in {(hours[1] - hours[0]) * 3600 / speed:.0f} s, if the archive keeps up", err=True)
    date = f"{datetime.fromtimestamp(clock.now_us() / 1e6).astimezone():%Y%m%d}"
    begun = clock.monotonic()
    with progress_bar("playing", len(planned), quiet=as_json) as bar:
        result = await Playing(peer, clock, speed, timeout, date, at_once).play(planned, bar.advance)
    _tell(result, len(planned), clock.monotonic() - begun, as_json)
    return EXIT_FAILED if result.errors or result.given_up else 0


def _tell(result: Result, studies: int, seconds: float, as_json: bool) -> None:
    rows = {
        operation: (len(taken), *percentiles(taken, 50, 95, 99, 100))
        for operation in _WHAT
        if (taken := result.seconds.get(operation))
    }
    if as_json:
        measured = {
            operation: dict(zip(("count", "p50", "p95", "p99", "max"), row, strict=True))
            for operation, row in rows.items()
        }
        print_json(
            {
                "studies": studies,
                "given_up": result.given_up,
                "images_sent": result.sent,
                "bytes_sent": result.sent_bytes,
                "images_fetched": result.fetched,
                "bytes_fetched": result.fetched_bytes,
                "seconds": round(seconds, 3),
                "late": round(result.late, 3),
                "measured": measured,
                "errors": [{"step": step, "why": why, "times": n} for (step, why), n in result.errors.items()],
            }
        )
        return
    print_table(
        ("ms", "count", "50 %", "95 %", "99 %", "longest"),
        [(operation, str(row[0]), *(f"{value * 1000:.1f}" for value in row[1:])) for operation, row in rows.items()],
    )
    click.echo(
        f"{studies} studies in {seconds:.1f} s; sent {result.sent} images, {result.sent_bytes / 1e6:.0f} MB "
        f"({result.sent_bytes / 1e6 / seconds:.1f} MB/s); fetched {result.fetched}, {result.fetched_bytes / 1e6:.0f} MB"
    )
    if result.late > 1:
        click.echo(
            f"gantry: {result.late:.1f} s behind the plan at most: give more --at-once, or less --speed", err=True
        )
    for (step, why), times in result.errors.most_common(20):
        click.echo(f"gantry: {times} x {step}: {why}", err=True)
    if result.given_up:
        click.echo(f"gantry: {result.given_up} studies were abandoned after ten attempts", err=True)

"""`gantry canary`."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

import click
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from gantry.cli.canary.listening import listening
from gantry.cli.canary.phantom import phantom
from gantry.cli.canary.round import STEPS, Round, StepResult, Web
from gantry.cli.output import json_option, print_json, print_table
from gantry.cli.peers import EXIT_FAILED, calls_a_peer
from gantry.cli.tokens import read_token
from gantry.common.clock import SystemClock
from gantry.common.net import Peer

_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class CanaryMetrics:
    """Metrics of a canary, with a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "gantry_canary_seconds",
            "How long a successful step took",
            ("step",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._failures = Counter("gantry_canary_failures", "Steps that failed", ("step",), registry=self.registry)
        self._rounds = Counter("gantry_canary_rounds", "Rounds", ("outcome",), registry=self.registry)
        self._succeeded = Gauge(
            "gantry_canary_last_success_timestamp_seconds",
            "When a round succeeded last",
            registry=self.registry,
        )

    def begin(self, steps: tuple[str, ...], now: float) -> None:
        """Create all series at the start, so that an alert does not wait for the first failure. Until the first success
        the start counts as the last one."""
        for step in steps:
            self._failures.labels(step)
            self._seconds.labels(step)
        for outcome in ("ok", "failed"):
            self._rounds.labels(outcome)
        self._succeeded.set(now)

    def take(self, took: list[StepResult], now: float) -> None:
        """Count a round."""
        for result in took:
            if result.why:
                self._failures.labels(result.step).inc()
            else:
                self._seconds.labels(result.step).observe(result.seconds)
        failed = any(result.why for result in took)
        self._rounds.labels("failed" if failed else "ok").inc()
        if not failed:
            self._succeeded.set(now)


@click.command()
@calls_a_peer
@click.option("--every", type=click.FloatRange(min=1), help="Seconds between rounds; without it one round.")
@click.option("--rounds", type=click.IntRange(1), help="End after so many rounds.")
@click.option(
    "--deadline",
    default=30.0,
    show_default=True,
    help="Seconds after the acknowledgement in which the image must be found.",
)
@click.option("--without", "left_out", multiple=True, type=click.Choice(STEPS), help="Skip this step.")
@click.option(
    "--move-port",
    type=click.IntRange(1, 65535),
    help="Be a C-MOVE destination on this port; the archive must know --aet with this port.",
)
@click.option("--move-host", default="0.0.0.0", show_default=True, help="The address to listen on for that.")  # noqa: S104
@click.option("--web", "url", metavar="URL", help="The archive's DICOMweb: the image is deleted at the end.")
@click.option(
    "--token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A bearer token for that."
)
@click.option("--name", default="canary", show_default=True, help="Name of this canary, if there are several.")
@click.option("--metrics-port", type=click.IntRange(1, 65535), help="Serve metrics for Prometheus on this port.")
@json_option
async def canary(
    peer: Peer,
    every: float | None,
    rounds: int | None,
    deadline: float,
    left_out: tuple[str, ...],
    move_port: int | None,
    move_host: str,
    url: str | None,
    token_file: Path | None,
    name: str,
    metrics_port: int | None,
    as_json: bool,
    timeout: float,
) -> int:
    """Send a synthetic image through the archive, and report how long each step takes and what fails.

    The image is stored, found, fetched (C-GET) and compared, sent by the archive (C-MOVE, with --move-port), committed,
    and deleted (with --web).

    \b
    gantry canary GANTRY@127.0.0.1
    gantry canary GANTRY@archive --aet CANARY --every 60 --metrics-port 9105 --move-port 11115
    """
    possible = {"move": move_port is not None, "delete": url is not None}
    steps = tuple(step for step in STEPS if step not in left_out and possible.get(step, True))
    if "store" not in steps:
        raise click.UsageError("the step `store` cannot be skipped: all others need its image")
    clock, shown = SystemClock(), CanaryMetrics()
    shown.begin(steps, clock.now_us() / 1e6)
    web = None if url is None else Web(url, read_token(token_file))
    done = failed = 0
    async with AsyncExitStack() as open_ports:
        try:
            if metrics_port is not None:
                server, _ = start_http_server(metrics_port, registry=shown.registry)
                open_ports.callback(server.shutdown)
            received = None
            if move_port is not None:
                received = await open_ports.enter_async_context(listening(move_host, move_port, peer.called_ae_title))
        except OSError as error:
            raise click.UsageError(f"cannot listen: {error.strerror or error}") from None
        while True:
            begun = clock.monotonic()
            now = datetime.fromtimestamp(clock.now_us() / 1e6).astimezone()
            attempt = Round(peer, clock, timeout, deadline, steps, peer.calling_ae_title, received, web)
            took = await attempt.run(phantom(name, now))
            shown.take(took, clock.now_us() / 1e6)
            _say(took, now, as_json, table=every is None)
            done, failed = done + 1, failed + any(step.why for step in took)
            if every is None or done == rounds:
                return EXIT_FAILED if failed else 0
            await clock.sleep(max(0.0, every - (clock.monotonic() - begun)))


def _say(took: list[StepResult], now: datetime, as_json: bool, *, table: bool) -> None:
    if as_json:
        steps = {result.step: round(result.seconds, 4) for result in took if not result.why}
        failed = {result.step: result.why for result in took if result.why}
        print_json({"at": now.isoformat(timespec="seconds"), "seconds": steps, "failed": failed})
    elif table:
        print_table(("step", "ms", "result"), [(o.step, f"{o.seconds * 1000:.0f}", o.why or "ok") for o in took])
    else:
        line = ", ".join(f"{o.step} failed: {o.why}" if o.why else f"{o.step} {o.seconds * 1000:.0f} ms" for o in took)
        click.echo(f"{now:%Y-%m-%d %H:%M:%S} {line}", err=any(o.why for o in took))

"""The tables of docs/scale.md, each between two marks of its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gantry.cli.day.plan import PlannedStudy, day
from tests.scale import prices, regions
from tests.scale.comparison import Compared, compared
from tests.scale.outages import FAILURES, outage, usual
from tests.scale.pipeline import Cluster
from tests.scale.sizes import ARCHIVES, Archive, Needs, needs

_SEED = 1
_DAY = 24 * 3600.0
_LINES = ((1e8, "100 Mbit/s"), (1e9, "1 Gbit/s"), (1e10, "10 Gbit/s"))


def comparison(rows: Sequence[Compared] | None = None) -> str:
    """Measured against simulated."""
    lines = [
        (
            row.what,
            f"{row.measured:,.0f} {row.unit}",
            f"{row.simulated:,.0f} {row.unit}",
            f"{round(row.difference * 100):+d} %",
            f"fitted: `{row.fitted}`" if row.fitted else "predicted",
        )
        for row in (compared() if rows is None else rows)
    ]
    return _table(("run", "measured", "simulated", "difference", "used for"), lines)


def sizes() -> str:
    """Studies and what they need, a column for each archive."""
    archives = [(archive, needs(archive)) for archive in ARCHIVES]
    rows: tuple[tuple[str, Callable[[Archive, Needs], str]], ...] = (
        ("kept for", lambda a, _: f"{a.years:.0f} year{'s' * (a.years > 1)}"),
        ("studies", lambda a, _: f"{a.studies:,.0f}"),
        ("studies a day", lambda a, _: f"{a.studies_a_day:,.0f}"),
        ("images a second in the busiest hour", lambda a, _: _rate(a.busiest)),
        ("images a second there is room for", lambda _, n: _rate(n.puts)),
        ("bucket: objects", lambda _, n: _bytes(n.objects_bytes)),
        ("bucket: facts", lambda _, n: _bytes(n.facts_bytes)),
        ("PUTs a second below one prefix, at most", lambda _, n: _rate(n.puts)),
        ("ingest, indexer, query, retrieve", lambda _, n: f"{n.ingest}, {n.indexers}, {n.query}, {n.retrieve}"),
        ("processes, two each of door, commitment, orders among them", lambda _, n: f"{n.processes}"),
        ("memory of these", lambda _, n: _bytes(n.memory)),
        ("Kafka: partitions of `instances`", lambda _, n: f"{n.partitions}"),
        ("Kafka: 7 days of log, three replicas", lambda _, n: _bytes(n.log_bytes)),
        ("OpenSearch: `opensearch.shards`", lambda _, n: f"{n.shards}"),
        ("OpenSearch: bytes of a shard", lambda _, n: _bytes(n.shard_bytes)),
        ("OpenSearch: index, two copies", lambda _, n: _bytes(n.index_bytes)),
        ("OpenSearch: data nodes", lambda _, n: f"{n.nodes}"),
        ("network, all roles and S3 together", lambda _, n: f"{n.network / 1e6:,.0f} Mbit/s"),
        ("`gantry reindex`, one process", lambda _, n: _time(n.rebuild)),
        ("one pass of `verify` at the default `upkeep.verify_rate`", lambda _, n: _time(n.verify)),
    )
    lines = [(name, *(value(archive, need) for archive, need in archives)) for name, value in rows]
    return _table(("", *(archive.name for archive in ARCHIVES)), lines)


def costs(assumed: prices.Prices = prices.Prices()) -> str:
    """What a study costs over all its years."""
    lines = []
    for archive in ARCHIVES:
        need = needs(archive)
        if archive is ARCHIVES[0]:
            lines.append(_cost(f"{archive.name}, one machine", prices.cost_of_one_machine(archive, need, assumed)))
        lines.append(_cost(f"{archive.name}, cluster", prices.cost(archive, need, assumed)))
    return _table(("archive", "objects", "requests", "index and log", "machines", "together"), lines)


def _cost(name: str, cost: prices.Cost) -> tuple[str, ...]:
    return (name, *(f"{value:.3f}" for value in (cost.objects, cost.requests, cost.index, cost.machines, cost.whole)))


def usual_hours() -> str:
    """The busiest hours with what `sizes` says, nothing failing."""
    lines = []
    for archive in ARCHIVES:
        need = needs(archive)
        studies = _morning(archive)
        middle, most = usual(Cluster(need.ingest, need.indexers, need.nodes, need.partitions), studies)
        images = sum(study.images for study in studies)
        lines.append((archive.name, f"{len(studies):,}", f"{images:,}", f"{middle:.1f} s", f"{most:.1f} s"))
    return _table(("archive", "studies, 8 to 9.30", "images", "searchable, median", "99 %"), lines)


def failures() -> str:
    """What fails at a billion a year, one thing at a time."""
    studies = _morning(ARCHIVES[-1])
    lines = []
    for name in FAILURES:
        seen = outage(name, Cluster(indexers=3), studies)
        lines.append(
            (
                name,
                f"{seen.backlog:,}",
                f"{seen.caught_up:,.0f} s",
                f"{seen.searchable:,.0f} s",
                f"{seen.image:.2g} s",
                f"{seen.associations}",
                f"{seen.rejected}",
            )
        )
    head = ("what", "most images behind", "caught up after its end", "longest until searchable", "an image, at most")
    return _table((*head, "associations, at most", "rejected"), lines)


def second_region() -> str:
    """How far a second region is behind."""
    lines = []
    for archive in ARCHIVES[1:]:
        studies = day(round(archive.studies_a_day), _SEED)
        for bits, name in _LINES:
            late = regions.behind(studies, regions.Line(bits))
            lines.append(
                (
                    archive.name,
                    name,
                    _time(late.middle),
                    _time(late.late),
                    _time(late.most),
                    f"{late.images:,}",
                    _time(needs(archive).rebuild),
                )
            )
    head = ("archive", "line", "RPO, median of the day", "99 %", "at most", "images lost, at most")
    return _table((*head, "RTO, cold (`gantry restore`)"), lines)


TABLES: dict[str, Callable[[], str]] = {
    "comparison": comparison,
    "sizes": sizes,
    "usual": usual_hours,
    "failures": failures,
    "regions": second_region,
    "costs": costs,
}
QUICK = ("sizes", "costs")
"""Arithmetic alone."""


def replaced(page: str, name: str, table: str) -> str:
    """The page with this table between its marks; raises `ValueError` where it has none."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, mark, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not mark or not closed:
        raise ValueError(f"no marks of {name}")
    return f"{before}{begin}{table}\n{end}{after}"


def _morning(archive: Archive) -> list[PlannedStudy]:
    return day(max(50, round(archive.studies_a_day)), _SEED, hours=(8.0, 9.5))


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines))


def _rate(count: float) -> str:
    return f"{count:,.0f}" if count >= 10 else f"{count:.2g}"


def _bytes(count: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:,.3g} {unit}"
    return f"{count:,.0f} bytes"


def _time(seconds: float) -> str:
    for unit, size in (("days", _DAY), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.2g} {unit}" if seconds < 100 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"

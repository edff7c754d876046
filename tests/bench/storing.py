"""C-STORE: rows of many receivers and two kinds of senders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.bench import contestants as field
from tests.bench import corpus, senders
from tests.bench.contestants import Contestant
from tests.bench.machine import neighbours
from tests.bench.rows import Figure, Starter, raw_associations, running
from tests.bench.senders import Sender

_BOTH: dict[str, Sender] = {"storescu": senders.storescu, "lean": senders.lean}
_WARM_UP = 200
"""Small objects that each of four senders gives a contestant before its clock: code and caches are warm then."""
_SLOW = {"pynetdicom storescp": 30}
"""How many objects of each sender are enough."""
_ONE_AT_A_TIME = "storescp"
"""It takes the next association when the one before has ended; lean senders begin when all of them are let in."""


def _store(
    folder: Path,
    count: int,
    side: int,
    numbers: tuple[int, ...],
    contestants: list[Starter],
    nagle: bool = False,
    kinds: Mapping[str, Sender] = _BOTH,
    slow: Mapping[str, int] = _SLOW,
) -> list[Figure]:
    """`count` objects of each sender; fewer for contestants that are `slow`, which would take minutes."""
    figures = []
    counts = {count, *slow.values()}
    sets = {k: [corpus.make(folder / f"set{k}-{n}", k, side) for n in range(max(numbers))] for k in counts}
    warm_up = {k: [corpus.make(folder / f"warm{k}-{n}", k, corpus.SMALL) for n in range(4)] for k in (25, _WARM_UP)}
    for n in numbers:
        for kind, send in kinds.items():
            for start in contestants:
                with running(start()) as server, _named(server):
                    if server.name == _ONE_AT_A_TIME and kind == "lean" and n > 1:
                        continue
                    for batch in _at_once(server, warm_up[25 if server.name in slow else _WARM_UP]):
                        (send if kind == "lean" else senders.lean)(server.port, batch, False)
                    each = slow.get(server.name, count)
                    before = server.usage()
                    seconds = send(server.port, sets[each][:n], nagle)
                    after = server.usage()
                    total = each * n
                    cpu = (after.cpu - before.cpu) * 1000 / total
                    words = f"{n} x {kind}" if kind == "storescu" else f"{n} {kind} sender{'s' * (n > 1)}"
                    figures.append(Figure(words, server.name, total / seconds, "objects/s", cpu, after.peak))
    return figures


@contextmanager
def _named(server: Contestant) -> Iterator[None]:
    """What fails says with whom."""
    try:
        yield
    except RuntimeError as error:
        raise RuntimeError(f"{server.name}: {error}") from error


def _at_once(server: Contestant, folders: list[Path]) -> list[list[Path]]:
    return [[folder] for folder in folders] if server.name == _ONE_AT_A_TIME else [folders]


def _receivers(folder: Path) -> list[Starter]:
    return [
        lambda: field.gantry(folder / "gantry"),
        lambda: field.gantry_engine(folder / "engine"),
        lambda: field.storescp(folder / "storescp", fork=False),
        lambda: field.storescp(folder / "fork", fork=True),
        lambda: field.orthanc(folder / "orthanc", sync=True),
        lambda: field.orthanc(folder / "nosync", sync=False),
        lambda: field.pynetdicom_storescp(folder / "pynetdicom"),
    ]


def store(folder: Path, quick: bool) -> list[Figure]:
    """CT slices of 525 KB."""
    return _store(folder, 50 if quick else 150, corpus.CT, (1, 4, 8), _receivers(folder))


def busy(folder: Path, quick: bool) -> list[Figure]:
    """CT slices, four senders, beside two processes of somebody else that compute all the time."""
    receivers = _receivers(folder)
    two = partial(field.gantry, folder / "two", "--workers", "2", name="gantry, 2 processes")
    contestants: list[Starter] = [receivers[0], two, receivers[3], receivers[4]]
    with neighbours(2):
        figures = _store(
            folder, 30 if quick else 100, corpus.CT, (4,), contestants, kinds={"storescu": senders.storescu}
        )
    return [replace(figure, what=f"{figure.what}, 2 busy loops beside") for figure in figures]


def small(folder: Path, quick: bool) -> list[Figure]:
    """Objects of 10 KB."""
    return _store(folder, 100 if quick else 500, corpus.SMALL, (1, 4, 8), _receivers(folder))


def nagle(folder: Path, quick: bool) -> list[Figure]:
    """Senders that leave Nagle's algorithm on, as DCMTK's tools do by default."""
    contestants = [receiver for n, receiver in enumerate(_receivers(folder)) if n in (0, 1, 3, 4)]
    count, few = (200, 20) if quick else (1000, 60)
    slow = dict.fromkeys(("storescp --fork", "Orthanc"), few)
    return _store(folder, count, corpus.SMALL, (1, 4), contestants, nagle=True, slow=slow)


def door(folder: Path, quick: bool) -> list[Figure]:
    """What the front door costs: the same receivers directly and through it. CPU and memory there are the door's."""
    proxy = "127.0.0.1"
    contestants: list[Starter] = [
        lambda: field.gantry_engine(folder / "engine"),
        lambda: field.Behind(field.gantry_engine(folder / "engine", proxy)),
        lambda: field.gantry(folder / "gantry"),
        lambda: field.Behind(field.gantry(folder / "gantry", proxies=proxy)),
    ]
    figures = _store(folder, 30 if quick else 150, corpus.CT, (1, 4), contestants)
    for contexts in (2, 101):
        for start in contestants[:2]:
            with running(start()) as server:
                rate = raw_associations(server.port, contexts, 50 if quick else 150)
                figures.append(Figure(f"{contexts} contexts", server.name, rate, "associations/s"))
    few = {"storescu": senders.storescu}
    small = _store(folder / "nagle", 60, corpus.SMALL, (1,), contestants[:2], nagle=True, kinds=few)
    return figures + [replace(figure, what="10 KB, Nagle") for figure in small]


_COERCING = """coercion:
  rules:
    - {name: issuer, calling: ['%s'], issuer: NORTH}
    - name: words
      calling: ['%s']
      where: [Modality=CT]
      set: {InstitutionName: St. Mary, InstitutionalDepartmentName: Radiology}
      copy: {AccessionNumber: StudyID}
      map: {BodyPartExamined: {values: {THORAX: CHEST, '': CHEST}}}
"""


def coercing(folder: Path, quick: bool) -> list[Figure]:
    """What rules of coercion cost: none, those about somebody else, and those that change every object."""
    rules = {"gantry": "", "gantry, rules of others": _COERCING % ("X", "X"), "gantry, coerced": _COERCING % ("*", "*")}
    return _small_and_ct(folder, quick, _with_settings(folder, rules))


def _with_settings(folder: Path, kinds: Mapping[str, str]) -> list[Starter]:
    """One of ours for each kind: its name, and more lines of its settings."""
    return [
        partial(field.gantry, folder / str(number), name=name, settings=settings)
        for number, (name, settings) in enumerate(kinds.items())
    ]


def _small_and_ct(folder: Path, quick: bool, contestants: list[Starter], send: Sender = senders.lean) -> list[Figure]:
    figures = []
    for words, side, count in (("10 KB", corpus.SMALL, 500), ("CT", corpus.CT, 150)):
        each = count // 5 if quick else count
        measured = _store(folder / words, each, side, (4,), contestants, kinds={"lean": send})
        figures += [replace(figure, what=f"{figure.what}, {words}") for figure in measured]
    return figures

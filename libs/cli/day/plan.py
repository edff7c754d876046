"""The plan of a hospital's day: when studies arrive, how large they are, and how often they are viewed. Pure.

Shares, sizes and hours are those of a typical general hospital, with most studies from radiography and most bytes from
CT. The same seed gives the same day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

HOURLY = (3, 2, 2, 2, 2, 4, 10, 34, 62, 70, 68, 60, 44, 50, 62, 58, 46, 30, 20, 15, 12, 9, 6, 4)
"""The distribution of studies over the hours of a day, as weights."""


@dataclass(frozen=True, slots=True)
class DayModality:
    """One kind of study: its share of all studies, its storage SOP class, the number of series and of images per series
    (from, to), and the rows, columns and bytes per pixel of an image."""

    name: str
    share: float
    sop_class: str
    series: tuple[int, int]
    images: tuple[int, int]
    rows: int
    columns: int
    pixel: int

    @property
    def image_bytes(self) -> int:
        """Bytes of pixel data of one image."""
        return self.rows * self.columns * self.pixel


_STORAGE = "1.2.840.10008.5.1.4.1.1."
MIX = (
    DayModality("DX", 0.42, f"{_STORAGE}1.1", (1, 2), (1, 2), 2500, 2048, 2),
    DayModality("CT", 0.20, f"{_STORAGE}2", (2, 5), (40, 250), 512, 512, 2),
    DayModality("US", 0.15, f"{_STORAGE}6.1", (1, 1), (8, 40), 768, 1024, 3),
    DayModality("MR", 0.12, f"{_STORAGE}4", (4, 9), (18, 60), 256, 256, 2),
    DayModality("MG", 0.05, f"{_STORAGE}1.2", (1, 1), (4, 4), 3328, 2560, 2),
    DayModality("NM", 0.03, f"{_STORAGE}20", (1, 2), (1, 4), 256, 256, 2),
    DayModality("PT", 0.03, f"{_STORAGE}128", (1, 2), (150, 300), 168, 168, 2),
)


@dataclass(frozen=True, slots=True)
class Series:
    """A series and its number of images."""

    images: int


@dataclass(frozen=True, slots=True)
class PlannedStudy:
    """A study that arrives at a time of the day, and is viewed after some delays, counted from its last image. Times in
    seconds."""

    at: float
    modality: DayModality
    series: tuple[Series, ...]
    patient: int
    looked_at_after: tuple[float, ...]

    @property
    def images(self) -> int:
        return sum(series.images for series in self.series)


def day(
    studies: int, seed: int, *, hours: tuple[float, float] = (0.0, 24.0), looks: float = 1.0, most_images: int = 2000
) -> list[PlannedStudy]:
    """The studies of a day with `studies` of them, in order of time; only those within `hours`. `looks` is how often a
    study is viewed, on average; `most_images` limits a study."""
    random = Random(seed)
    planned = []
    for _ in range(studies):
        hour = random.choices(range(24), HOURLY)[0]
        at = (hour + random.random()) * 3600
        modality = random.choices(MIX, [row.share for row in MIX])[0]
        series = _series(random, modality, most_images)
        # Half of the patients return: these have priors.
        patient = random.randrange(max(1, studies * 3 // 4))
        after = tuple(60 + random.expovariate(1 / 1800) for _ in range(_poisson(random, looks)))
        planned.append(PlannedStudy(at, modality, series, patient, after))
    first, last = hours[0] * 3600, hours[1] * 3600
    return sorted((study for study in planned if first <= study.at < last), key=lambda study: study.at)


def _series(random: Random, modality: DayModality, most: int) -> tuple[Series, ...]:
    series, left = [], most
    for _ in range(random.randint(*modality.series)):
        images = min(left, random.randint(*modality.images))
        if images > 0:
            series.append(Series(images))
            left -= images
    return tuple(series)


def _poisson(random: Random, mean: float) -> int:
    """A random number from the Poisson distribution with this mean, from the times between events."""
    count, passed = 0, random.expovariate(1.0)
    while passed < mean:
        count, passed = count + 1, passed + random.expovariate(1.0)
    return count


def percentiles(values: Sequence[float], *percents: int) -> list[float]:
    """The percentiles of values in any order; 0 if there are no values."""
    ordered = sorted(values)
    return [ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0.0 for percent in percents]

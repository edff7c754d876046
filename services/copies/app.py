"""Wiring of copies for links, in processes of the retrieve role."""

from __future__ import annotations

from gantry.common.runtime.consumer import ConsumerLoop
from gantry.common.runtime.deidentification_profiles import read_profiles
from gantry.common.runtime.followed_shares import TOPIC
from gantry.services.context import Context, RoleParts
from gantry.services.copies.copying import GROUP, LinkCopier
from gantry.services.retrieve.deidentifying.objects import Deidentification
from gantry.services.retrieve.opening import Openings
from gantry.services.retrieve.pixels.converter import Converter
from gantry.services.retrieve.pixels.frame_finder import FrameFinder
from gantry.services.retrieve.reading import Objects


async def build(context: Context) -> RoleParts:
    """The maker of copies; nothing without links, or without profiles. Raises `ConfigError`."""
    profiles = read_profiles(context.settings.deidentification.profiles, {})
    if context.followed_shares is None or not profiles.known:
        return RoleParts()
    objects, converter, deidentification = Objects(context.objects), Converter(), Deidentification()
    openings = Openings(objects, converter, FrameFinder(objects))
    copier = LinkCopier(
        *(context.followed_shares, context.answers, context.objects, openings, deidentification, profiles),
        context.clock,
    )
    loop = ConsumerLoop(context.log, GROUP, [TOPIC], copier, context.clock, context.metrics)

    async def stop(_: float) -> None:
        loop.stop()

    return RoleParts(
        background=[("copies for links", loop.run()), ("removal of copies for links", copier.clear())],
        drain=[stop],
        close=[deidentification.close, converter.close],
    )

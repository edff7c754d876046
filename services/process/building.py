"""The wiring of roles. Each is imported when it is built, so that a process loads only its own roles."""

from __future__ import annotations

from dataclasses import replace

from gantry.services.context import Context, RoleParts
from gantry.services.roles import Role


async def build_lifecycle(context: Context) -> RoleParts:
    from gantry.services.lifecycle.app import build

    return await build(context)


async def build_operations(context: Context) -> RoleParts:
    from gantry.services.operations.app import build

    return await build(context)


async def build_copies(context: Context) -> RoleParts:
    """The maker of copies for links. It decodes pixels, so no other process imports it."""
    from gantry.services.copies.app import build

    return await build(context)


async def build_role(role: Role, context: Context) -> RoleParts:
    """The parts of a role."""
    match role:
        case Role.INGEST:
            from gantry.services.ingest.app import build
        case Role.QUERY:
            from gantry.services.query.app import build
        case Role.RETRIEVE:
            from gantry.services.retrieve.app import build

            if any(rule.by == "get" for rule in context.settings.routing.prefetch):
                from gantry.services.ingest.app import build_intake, watched_quota

                parts = await build(replace(context, intake=build_intake(context)))
                return replace(parts, background=[*parts.background, *await watched_quota(context)])
        case Role.COMMITMENT:
            from gantry.services.commitment.app import build
        case Role.ORDERS:
            from gantry.services.orders.app import build
        case _:
            raise ValueError(f"{role} has no services")
    return await build(context)

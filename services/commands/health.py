"""`gantry health`: the health check of the process on this machine, for a container's HEALTHCHECK.

Imports next to nothing: it runs every few seconds in every container.
"""

from __future__ import annotations

import http.client
import os
import sys

import click

_ROLES = 7
_SECONDS = 4.0


@click.command()
@click.option("--port", type=int, help="Its HTTP port (default: GANTRY_HTTP__PORT or 8080, and those of single roles).")
@click.option("--ready", is_flag=True, help="Check readiness: whether it accepts new work and its stores answer.")
def health(port: int | None, ready: bool) -> None:
    """Check the health of the archive or the door on this machine. Exit code 0 if healthy, 1 if not.

    For a HEALTHCHECK: whatever role a container has, its process answers on one of the ports of the roles.
    """
    answer = "nothing answers"
    for candidate in [port] if port else ports():
        status, text = ask(candidate, "/readyz" if ready else "/healthz")
        if status:
            answer = text.strip()
            break
    click.echo(answer)
    sys.exit(0 if status == 200 else 1)


def ports() -> range:
    """The HTTP ports that a process on this machine may have, for all roles."""
    base = int(os.environ.get("GANTRY_HTTP__PORT") or 8080)
    return range(base, base + _ROLES)


def ask(port: int, path: str) -> tuple[int, str]:
    """Status and body; status 0 if nothing answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)
    finally:
        connection.close()

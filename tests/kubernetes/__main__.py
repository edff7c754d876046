"""A node with Gantry on it for a person to look at, until Ctrl-C: `python -m tests.kubernetes`.

Tests take it where GANTRY_TEST_NODE names its folder.
"""

from __future__ import annotations

import signal

from tests.kubernetes.node import Node
from tests.kubernetes.site import Site
from tests.support import servers


def main() -> None:
    """Start it, say where it is, wait."""
    servers.begin()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Node() as node:
            site = Site(node)
            site.prepare()
            print(
                f"export KUBECONFIG={node.kubeconfig} GANTRY_TEST_NODE={node.folder} PATH={node.programs}:$PATH",
                flush=True,
            )
            site.install()
            print({step: round(seconds, 1) for step, seconds in node.times.items()}, "Ctrl-C ends it", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        servers.end()


if __name__ == "__main__":
    main()

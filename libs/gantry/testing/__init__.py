"""For other people's tests: a real archive, in the test's own process or in a container.

`InProcessGantry` runs every role on embedded stores in a temporary folder and is there in under a second;
`container.GantryContainer` does the same in Gantry's image, through testcontainers. `plugin` has pytest fixtures
(docs/testing.md). Nothing here is a mock: what is stored goes over a real association, is fsync'd, indexed and found.
"""

from gantry.testing.archive import InProcessGantry

__all__ = ["InProcessGantry"]

"""Removes the log and the index of an archive, which `process.stores` opens, for good."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from gantry.common.config.settings import Settings
from gantry.services.process.stores import kafka_cluster, opensearch_cluster


async def remove_log(settings: Settings) -> int:
    """Remove the event log of the settings; returns the number of topics or files. Raises `DependencyUnavailable`."""
    url = urlsplit(settings.log_url)
    if url.scheme == "sqlite":
        return await _remove_file(url.path)
    from gantry.common.adapters.kafka.removal import remove_topics

    return await remove_topics(kafka_cluster(url, settings))


async def remove_index(settings: Settings) -> int:
    """Remove the search index of the settings; returns the number of indices or files. Raises
    `DependencyUnavailable`."""
    url = urlsplit(settings.index_url)
    if url.scheme == "sqlite":
        return await _remove_file(url.path)
    from gantry.common.adapters.opensearch.removal import remove_indices

    return await remove_indices(opensearch_cluster(url, settings))


async def _remove_file(path: str) -> int:
    from gantry.common.adapters.sqlite.removal import remove_database

    return await asyncio.to_thread(remove_database, Path(path))

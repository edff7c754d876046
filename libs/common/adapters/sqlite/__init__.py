"""SQLite in WAL mode, used off the event loop: the embedded event log (`log`), the search index (`index`) and the base
of every SQLite store (`database`: connections, group-committing writer thread, reader threads; errors translated).

Several processes may share one database file on a local file system; SQLite's locks do not hold on network ones.
"""

from gantry.common.adapters.sqlite.index.index import SqliteIndex, open_sqlite_index
from gantry.common.adapters.sqlite.log.log import SqliteLog, open_sqlite_log

__all__ = ["SqliteIndex", "SqliteLog", "open_sqlite_index", "open_sqlite_log"]

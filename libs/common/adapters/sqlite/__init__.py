"""SQLite in WAL mode, used off the event loop: the embedded event log (`log`) and what any SQLite store stands on
(`database`: connections, group-committing writer thread, reader threads; errors translated).

Several processes may share one database file on a local file system; SQLite's locks do not hold on network ones.
"""

from libs.common.adapters.sqlite.log import SqliteLog, open_sqlite_log

__all__ = ["SqliteLog", "open_sqlite_log"]

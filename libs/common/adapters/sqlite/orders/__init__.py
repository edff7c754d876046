"""Orders and performed steps of one process, in a SQLite database that has no name and is gone with the process."""

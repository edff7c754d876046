"""Orders and performed steps of one process, in an unnamed SQLite database that disappears with the process."""

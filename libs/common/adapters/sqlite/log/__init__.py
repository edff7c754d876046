"""The embedded event log: one SQLite file, consumer groups, and a named pipe that wakes them."""

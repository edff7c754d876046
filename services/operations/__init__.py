"""What the place Operations of the page shows and does, over HTTP (docs/operations.md).

Everything here is known already: `whereabouts`, `maintenance` and `lifecycle` know it for the commands, too. This room
asks them within bounds (`turns`), puts the answers into JSON, and decides who may (`callers`). What only one process
knows is said to be that process's.
"""

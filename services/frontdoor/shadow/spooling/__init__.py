"""The spool of shadow mode: objects for a shadow that is slow or away, in a folder on disk (decision 0084).

Pure: `heads` is the metadata beside the bytes of an object. With effects: `files` reads and writes files, in a thread;
`spool` limits and writes them, off the event loop; `stores` and `catching_up` send what waits, and compare the answers.
"""

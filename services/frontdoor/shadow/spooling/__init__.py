"""The spool of shadow mode: what a shadow that is slow or away has not got yet, in a folder on disk (decision 0084).

Pure: `heads` is what stands beside the bytes of an object. With effects: `files` are the files, for a thread; `spool`
bounds and writes them, off the event loop; `stores` and `catching_up` send what waits, and compare what it is answered.
"""

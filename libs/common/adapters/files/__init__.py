"""The object store on a folder: temp + fdatasync + atomic rename + fsync of the folder, group-committed.

What belongs here: how an object becomes durable on a local file system (`committer`), streams in (`writer`) and out
(`reader`), and what is cleared away after a crash (`temp`). What does not: keys' meaning, DICOM, digests.

    ROOT/objects/default/0190c3a/0190c3a….dcm    objects, under their keys
    ROOT/.temp/RANDOM/N                          objects on their way in, one folder per process that is alive

Several processes may share one root. No file is ever changed once it has its name.
"""

from gantry.common.adapters.files.store import DEFAULT_FSYNC_WORKERS, FileStore, open_file_store

__all__ = ["DEFAULT_FSYNC_WORKERS", "FileStore", "open_file_store"]

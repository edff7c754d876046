"""The object store on a folder: temp + fdatasync + atomic rename + fsync of the folder, group-committed.

It makes objects durable on a local file system (`group_commit`, `fsync_pool`), streams them in (`writer`) and out
(`reader`), and removes unfinished ones after a crash (`temp`). It knows nothing of DICOM, digests or the meaning of
keys.

    ROOT/objects/default/0190c3a/0190c3a….dcm    objects, under their keys
    ROOT/.temp/RANDOM/N                          unfinished objects, one folder per running process

Several processes may share one root. No file is ever changed once it has its name.
"""

from gantry.common.adapters.files.store import DEFAULT_FSYNC_WORKERS, FileStore, open_file_store

__all__ = ["DEFAULT_FSYNC_WORKERS", "FileStore", "open_file_store"]

"""The object store on the S3 API.

`bucket` holds its address and settings, `signing` is Signature Version 4 (pure), `wire` sends signed requests with
deadline and retries: the hot path (PUT, UploadPart, GET), whose processor time decides the speed of ingest (decision
0008). Rare calls go through aiobotocore (`control`). `writer` and `reader` write and read one object, `store` combines
these.
"""

from gantry.common.adapters.s3.bucket import S3Bucket
from gantry.common.adapters.s3.store import S3Store, open_s3_store

__all__ = ["S3Bucket", "S3Store", "open_s3_store"]

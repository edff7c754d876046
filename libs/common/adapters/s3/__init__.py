"""The object store on the S3 API.

`bucket` holds where it is, `signing` is Signature Version 4 (pure), `wire` sends signed requests with deadline and
retries: the hot path (PUT, UploadPart, GET), whose processor time decides the speed of ingest (decision 0008).
Everything rare goes through aiobotocore (`control`). `writer` and `reader` are one object on its way in and out,
`store` puts these together.
"""

from gantry.common.adapters.s3.bucket import S3Bucket
from gantry.common.adapters.s3.store import S3Store, open_s3_store

__all__ = ["S3Bucket", "S3Store", "open_s3_store"]

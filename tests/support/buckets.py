"""Buckets for tests."""

from __future__ import annotations

from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from gantry.common.adapters.s3 import S3Bucket


async def make_bucket(bucket: S3Bucket) -> None:
    """Create the bucket if it does not exist."""
    async with get_session().create_client(
        "s3",
        region_name=bucket.region,
        endpoint_url=bucket.endpoint,
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=bucket.secret_key,
    ) as client:
        try:
            await client.create_bucket(Bucket=bucket.name)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise

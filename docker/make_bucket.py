"""`python make_bucket.py s3://mlflow`: make the bucket if it is not there; the endpoint is $MLFLOW_S3_ENDPOINT_URL."""

import os
import sys
from urllib.parse import urlsplit

import boto3
from botocore.config import Config


def main(destination: str) -> None:
    """Wait for the object store (a minute at most), then make the bucket unless it exists."""
    bucket = urlsplit(destination).netloc
    waiting = Config(connect_timeout=5, retries={"max_attempts": 12, "mode": "standard"})
    store = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"], config=waiting)
    if bucket not in {each["Name"] for each in store.list_buckets()["Buckets"]}:
        store.create_bucket(Bucket=bucket)


if __name__ == "__main__":
    main(sys.argv[1])

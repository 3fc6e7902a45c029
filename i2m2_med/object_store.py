"""Objects of an S3 bucket (`s3://bucket/key`): lists, files and writes, each bounded before it is begun.

Credentials, region and endpoint come from the environment alone, as every tool of AWS takes them (AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, the machine's role); no address, error or log
holds them. What a bucket lists is a stranger's: a key that would leave its folder is refused.
"""

import os
import re
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from i2m2_med.errors import SourceError, UserError, extra_hint

SCHEME = "s3://"
ELSEWHERE = re.compile(r"(s3a?|gs|gcs|az|abfss?|wasbs?|r2|hdfs|s?ftp|ssh|https?|file):", re.IGNORECASE)
MAX_DEPTH = 8
MAX_NAME = 255
"""Bytes of a part of a key that becomes a file's name."""
CHANGED = "an object of the store changed while it was fetched; start again"
CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
WORDS = {
    "NoSuchBucket": "there is no such bucket",
    "NoSuchKey": "there is no such object",
    "404": "there is no such object",
    "AccessDenied": "access is denied to these credentials",
    "403": "access is denied to these credentials",
    "InvalidAccessKeyId": "the store does not know these credentials",
    "SignatureDoesNotMatch": "the store refuses these credentials",
    "500": "what answers has failed, or is no object store (AWS_ENDPOINT_URL)",
    "NoCredentialsError": "there are no credentials in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, or a profile)",
    "ProfileNotFound": "AWS_PROFILE names a profile that is not there",
    "EndpointConnectionError": "the store can't be reached (AWS_ENDPOINT_URL, AWS_REGION)",
}


@dataclass(frozen=True)
class ObjectPath:
    """An object, or the folder of all objects whose keys begin with `key/`."""

    bucket: str
    key: str = ""

    @classmethod
    def parse(cls, address: str) -> "ObjectPath":
        """Return the place of an address. Raises UserError for one with credentials, options, or steps out of a folder."""
        bucket, _, key = address.removeprefix(SCHEME).partition("/")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
            raise UserError(
                "an address of an object store is s3://BUCKET/FOLDER; credentials and endpoint come from the environment"
            )
        key = key.rstrip("/")
        if key and (CONTROL.search(key) or "?" in key or not {"", ".", ".."}.isdisjoint(key.split("/"))):
            raise UserError(
                f"{SCHEME}{bucket}: the address holds an empty step, '..', '?' or a control sign; name a plain folder"
            )
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"

    def __truediv__(self, name: str) -> "ObjectPath":
        return ObjectPath(self.bucket, f"{self.key}/{name}" if self.key else name)

    @property
    def name(self) -> str:
        """Return the last step of the address."""
        return self.key.rpartition("/")[2] or self.bucket

    @property
    def inside(self) -> str:
        """Return how the keys of the folder's objects begin."""
        return f"{self.key}/" if self.key else ""


@dataclass(frozen=True)
class Entry:
    """What a list of a folder names: an object, or a folder (size 0)."""

    name: str
    """Below the folder that was listed."""
    size: int
    folder: bool = False
    etag: str = ""
    """Of an object: another one once its content has changed."""


def located(address: str | Path) -> Path | ObjectPath:
    """Return an address as a path of this machine, or as one of an object store. Raises UserError for one of elsewhere."""
    if isinstance(address, str) and address.startswith(SCHEME):
        return ObjectPath.parse(address)
    if elsewhere(path := Path(address)):
        raise UserError(
            f"'{path.parts[0]}' begins no path of a disk; name a folder on a disk, or {SCHEME}BUCKET/FOLDER"
        )
    return path


def elsewhere(path: Path) -> bool:
    """Return whether a path is an address of the network, which the file system would take for folders with odd names."""
    return bool(path.parts) and ELSEWHERE.fullmatch(path.parts[0]) is not None


def failures() -> Any:
    """Return the module of what the client raises. Raises UserError where it is not installed."""
    try:
        import_module("boto3")
        return import_module("botocore.exceptions")
    except ImportError as error:
        raise UserError(f"s3:// needs boto3: {extra_hint('s3')}") from error


def client() -> Any:
    """Return this process's client; one that was forked may not use its parent's."""
    return client_of(os.getpid())


@lru_cache(maxsize=1)
def client_of(process: int) -> Any:  # noqa: ARG001
    """As `client`."""
    failures()
    import boto3
    from botocore.config import Config

    with told():
        try:
            return boto3.Session().client(
                "s3",
                config=Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=60),
            )
        except ValueError as error:
            raise UserError("AWS_ENDPOINT_URL is no address of a store; it looks like https://HOST:PORT") from error


@contextmanager
def told(place: ObjectPath | None = None) -> Generator[None]:
    """Tell in one line what the store answered, naming the bucket alone: a key may name a study, the store's own text more."""
    of_aws = failures()
    where = f"{SCHEME}{place.bucket}" if place else "the object store"
    try:
        yield
    except of_aws.ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        raise SourceError(f"{where}: {WORDS.get(code, f'the object store answers {code[:40]}')}") from None
    except of_aws.BotoCoreError as error:
        kind = type(error).__name__
        raise SourceError(f"{where}: {WORDS.get(kind, f'the object store fails ({kind})')}") from None


def entries(place: ObjectPath, most: int, *, deep: bool = False) -> Iterator[Entry]:
    """Yield what is in a folder. Raises SourceError for more than `most`. Markers of empty folders are left out.

    deep: also what is in folders below, whose names are those of files then; raises SourceError for one that can't be.
    """
    asked = {"Bucket": place.bucket, "Prefix": place.inside} | ({} if deep else {"Delimiter": "/"})
    count = 0
    with told(place):
        for page in client().get_paginator("list_objects_v2").paginate(**asked):
            found = [Entry(one["Key"], int(one["Size"]), etag=one["ETag"]) for one in page.get("Contents", ())]
            found += [Entry(one["Prefix"][:-1], 0, folder=True) for one in page.get("CommonPrefixes", ())]
            for each in found:
                name = each.name.removeprefix(place.inside)
                if name.endswith("/") or not name:
                    continue
                count += 1
                if count > most:
                    raise SourceError(f"the folder of the object store holds more than {most:,} objects")
                if deep:
                    check_name(name)
                yield replace(each, name=name)


def check_name(name: str) -> None:
    """Raise SourceError for a key that would be no file below its folder."""
    steps = name.split("/")
    if (
        CONTROL.search(name)
        or not {"", ".", ".."}.isdisjoint(steps)
        or any(len(os.fsencode(step)) > MAX_NAME for step in steps)
    ):
        raise SourceError("an object's key is no plain path of a file ('..', '//', a control sign, or too long)")
    if len(steps) > MAX_DEPTH:
        raise SourceError(f"the folder of the object store is more than {MAX_DEPTH} deep")


def fetch(place: ObjectPath, folder: Path, *, most: int, largest: int, total: int) -> None:
    """Fetch all objects of a folder into `folder`: at most `most` files, `largest` bytes each, `total` together.

    Raises SourceError before anything is fetched where there are none or more, UserError where the disk has no room.
    """
    files = list(entries(place, most, deep=True))
    if not files:
        raise SourceError("the folder of the object store is not there, or empty")
    size = sum(file.size for file in files)
    if size > total or any(file.size > largest for file in files):
        raise SourceError(
            f"the objects have {size / 2**30:.1f} GiB; a file may have {largest / 2**30:.0f}, all {total / 2**30:.0f}"
        )
    if size > shutil.disk_usage(folder).free:
        raise UserError(
            f"the disk of temporary files has no room for {size / 2**30:.1f} GiB; set TMPDIR to a larger one"
        )
    for file in files:
        target = folder / file.name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SourceError("an object's key is the folder of another's; files can't be so") from error
        fetch_file(place / file.name, target, file.size, file.etag)


def fetch_file(place: ObjectPath, target: Path, size: int, etag: str) -> None:
    """Fetch one object as it was listed. Raises SourceError where it is another by now."""
    of_aws, left = failures(), size
    with told(place):
        try:
            body = client().get_object(Bucket=place.bucket, Key=place.key, IfMatch=etag)["Body"]
        except of_aws.ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("PreconditionFailed", "412"):
                raise SourceError(CHANGED) from None
            raise
        with target.open("xb") as file:
            for piece in body.iter_chunks(2**20):
                left -= len(piece)
                if left < 0:
                    break
                file.write(piece)
    if left:
        raise SourceError(CHANGED)


def get(place: ObjectPath, largest: int) -> bytes | None:
    """Return an object's bytes; None where there is none. Raises SourceError for more than `largest`."""
    of_aws = failures()
    with told(place):
        try:
            answer = client().get_object(Bucket=place.bucket, Key=place.key)
        except of_aws.ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                return None
            raise
        if int(answer["ContentLength"]) > largest:
            raise SourceError(f"{place} is larger than {largest / 2**20:.0f} MiB")
        return answer["Body"].read()


def entry_of(place: ObjectPath) -> Entry:
    """Return one object as a list would name it. Raises SourceError where there is none."""
    with told(place):
        found = client().head_object(Bucket=place.bucket, Key=place.key)
        return Entry(place.name, int(found["ContentLength"]), etag=found["ETag"])


def put(place: ObjectPath, content: bytes) -> None:
    """Write an object, whole: a store shows no half of one."""
    with told(place):
        client().put_object(Bucket=place.bucket, Key=place.key, Body=content)


def put_file(place: ObjectPath, file: Path) -> None:
    """Write a file as an object; a large one in parts, which become one object at the end."""
    with told(place), file.open("rb") as opened:
        client().upload_fileobj(opened, place.bucket, place.key)


def delete(place: ObjectPath) -> None:
    """Delete an object, if it is there."""
    with told(place):
        client().delete_object(Bucket=place.bucket, Key=place.key)

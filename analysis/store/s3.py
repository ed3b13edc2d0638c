"""Storage in an S3 bucket, through boto3 and standard headers only."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import os
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import pyarrow as pa

from analysis.store.errors import AccessDenied, KeyAbsent, StoreError, StoreMissing, StoreUnreachable
from analysis.store.layout import is_hidden

_ABSENT = {"NoSuchKey", "404", "NotFound"}
_DENIED = {"AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthFailure"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired", "RequestExpired"}
_CLOCK = {"RequestTimeTooSkewed"}
_REFUSED = {"PreconditionFailed", "412"}
_CONFLICT = {"ConditionalRequestConflict", "409", "OperationAborted"}
_ATTEMPTS = 6
_WORTH_ASKING_BYTES = 1_000_000

Answer = TypeVar("Answer")


class S3Storage:
    """Named bytes below `s3://bucket/prefix`; see `Storage`.

    Endpoint, region and credentials come from the standard AWS chain (`AWS_ENDPOINT_URL_S3`, profiles, roles).
    """

    def __init__(self, root: str) -> None:
        bucket, _, prefix = root.removeprefix("s3://").partition("/")
        if not bucket or "@" in bucket:
            raise ValueError("results root must be s3://bucket/prefix, with credentials in the AWS chain")
        self.root = root.rstrip("/")
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._made: Any = None
        self._making = threading.Lock()

    def __reduce__(self) -> tuple[type[S3Storage], tuple[str]]:
        """Travel as the root alone: another process makes its own client, with its own credentials."""
        return type(self), (self.root,)

    def create(self, key: str, content: bytes) -> bool:
        for attempt in range(_ATTEMPTS):
            code = self._put(key, content, IfNoneMatch="*")
            if code not in _CONFLICT:
                return code is None
            time.sleep(0.1 * 2**attempt)  # a rival's write to this key is under way; its end decides
        raise StoreUnreachable(f"{self.root} keeps answering that {key} is being written by another; run again")

    def replace(self, key: str, content: bytes) -> None:
        self._put(key, content)

    def read(self, key: str, most: int | None = None) -> pa.Buffer:
        part = {} if most is None else {"Range": f"bytes=0-{most - 1}"}
        return pa.py_buffer(self._asked(key, lambda s3: _body(s3, {**self._at(key), **part})))

    def exists(self, key: str) -> bool:
        with contextlib.suppress(KeyAbsent):
            self._asked(key, lambda s3: s3.head_object(**self._at(key)))
            return True
        return False

    def listing(self, folder: str) -> dict[str, int]:
        prefix = self._prefix + (f"{folder}/" if folder else "")
        entries = [entry for page in self._pages(prefix) for entry in page.get("Contents", ())]
        names = {entry["Key"].removeprefix(prefix): int(entry["Size"]) for entry in entries}
        return {name: names[name] for name in sorted(names) if name and not is_hidden(name)}

    def folders(self, folder: str = "") -> list[str]:
        prefix = self._prefix + (f"{folder}/" if folder else "")
        entries = [entry["Prefix"] for page in self._pages(prefix) for entry in page.get("CommonPrefixes", ())]
        names = sorted(entry.removeprefix(prefix).rstrip("/") for entry in entries)
        return [name for name in names if name and not is_hidden(name)]

    def delete(self, key: str) -> None:
        with contextlib.suppress(KeyAbsent):
            self._asked(key, lambda s3: s3.delete_object(**self._at(key)))

    def probe(self) -> bool:
        key = f".probe-{uuid.uuid4().hex}"
        self.listing(key)
        self.create(key, b"first")
        try:
            refused = not self.create(key, b"second")
            return refused and self.read(key).to_pybytes() == b"first"
        finally:
            self.delete(key)

    def clean(self) -> None:
        """Do nothing: an upload in one request leaves nothing behind."""

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _put(self, key: str, content: bytes, **condition: str) -> str | None:
        """Put `content`; return None, or the code by which the store refused the condition.

        The MD5 makes the store refuse a body that arrived damaged or short.
        """
        digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        refusals = _REFUSED | _CONFLICT if condition else set()
        return self._asked(
            key,
            lambda s3: s3.put_object(Body=content, ContentMD5=digest, **self._at(key), **condition) and None,
            expected=refusals,
        )

    def _pages(self, prefix: str) -> list[Any]:
        """Return the pages of the folder `prefix`."""

        def pages(s3: Any) -> list[Any]:
            paginator = s3.get_paginator("list_objects_v2")
            return list(paginator.paginate(Bucket=self._bucket, Prefix=prefix, Delimiter="/"))

        return self._asked(prefix, pages)

    def _asked(self, key: str, ask: Callable[[Any], Answer], expected: set[str] | None = None) -> Answer | Any:
        """Return what `ask` answers, or one of the `expected` error codes; raise every other as a `StoreError`.

        What boto3 said is left out of the chain: a server may echo keys and signatures in its messages.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        for last in (False, True):
            try:
                return ask(self._client())
            except ClientError as error:
                code = _code(error)
                if expected and code in expected:
                    return code
                if code in _EXPIRED and not last:
                    self._made = None  # credentials on disk may have been renewed since
                    continue
                told: Exception = self._refusal(key, code)
            except BotoCoreError as error:
                told = self._failure(type(error).__name__)
            raise told from None
        raise AssertionError("unreachable")

    def _refusal(self, key: str, code: str) -> Exception:
        where = f"{self.root} ({key})" if key else self.root
        if code == "NoSuchBucket":
            return StoreMissing(f"bucket {self._bucket} does not exist at {_endpoint()}; create it first")
        if code in _ABSENT:
            return KeyAbsent(key)
        if code in _EXPIRED:
            return AccessDenied(f"the credentials for {where} have expired ({code}); renew them and run again")
        if code in _CLOCK:
            return AccessDenied(f"this machine's clock is too far from that of {_endpoint()} ({code}); set it")
        if code in _DENIED:
            return AccessDenied(f"{_endpoint()} denies access to {where} ({code}); check credentials and policy")
        return StoreUnreachable(f"{_endpoint()} keeps failing for {where} ({code}); nothing reported as done is lost")

    def _failure(self, name: str) -> StoreError:
        if "Credential" in name or "Token" in name or "Profile" in name:
            return AccessDenied(f"no usable AWS credentials for {self.root} ({name}); set a profile, role or keys")
        return StoreUnreachable(f"{_endpoint()} cannot be reached for {self.root} ({name}); check AWS_ENDPOINT_URL")

    def _client(self) -> Any:
        with self._making:
            if self._made is None:
                self._made = _new_client()
            return self._made


def _new_client() -> Any:
    """Return a client of its own session: sessions are not to be shared between threads."""
    import boto3
    import botocore.config

    options: dict[str, Any] = {"max_pool_connections": 32, "connect_timeout": 10, "read_timeout": 60}
    # What boto3 takes longest for in a small request: telling the server about itself, and checking our four arguments.
    options |= {"user_agent": "raysweep", "parameter_validation": False}
    # The standard mode gives up early once a client has retried often, which a sweep of weeks will have.
    retries: Any = {"mode": "legacy"}
    if "AWS_MAX_ATTEMPTS" not in os.environ:
        retries["total_max_attempts"] = _ATTEMPTS
    # Several servers refuse the trailing checksums that boto3 adds by default.
    if "AWS_REQUEST_CHECKSUM_CALCULATION" not in os.environ:
        options["request_checksum_calculation"] = "when_required"
    if "AWS_RESPONSE_CHECKSUM_VALIDATION" not in os.environ:
        options["response_checksum_validation"] = "when_required"
    configuration = botocore.config.Config(retries=retries, **options)
    session = boto3.session.Session()
    region = session.region_name or "us-east-1"
    client = session.client("s3", region_name=region, config=configuration)
    client.meta.events.register_last("before-call.s3", _without_waiting)
    return client


def _without_waiting(params: dict[str, Any], **_: Any) -> None:
    """Send a small body at once, not after the server has said that it may come: that takes a second exchange."""
    body = params.get("body")
    if isinstance(body, io.BytesIO) and body.getbuffer().nbytes < _WORTH_ASKING_BYTES:
        params["headers"].pop("Expect", None)


def _body(s3: Any, place: dict[str, str]) -> bytes:
    """Return an object's content; boto3 retries requests but not bodies that break off."""
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(HTTPClientError, IncompleteReadError):
            return bytes(s3.get_object(**place)["Body"].read())
    return bytes(s3.get_object(**place)["Body"].read())


def _code(error: Any) -> str:
    response = error.response
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    return str(response.get("Error", {}).get("Code") or status)


def _endpoint() -> str:
    """Return the endpoint for messages, without any credentials in it."""
    address = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "AWS S3"
    return address.split("@")[-1]

"""Addresses of our own to upload one file to, where the store is no service that has such.

They are what S3 calls a presigned POST (https://docs.aws.amazon.com/AmazonS3/latest/API/
sigv4-post-example.html): a form whose fields say what may be sent, signed, so that whoever has the
form needs no credentials and nothing has to be remembered about it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from bff.errors import Forbidden, Unsigned
from bff.files.stored import (
    ADDRESS_SECONDS,
    StoredFile,
    UploadAddress,
    file_of,
    record_of,
)

PATH = "/uploads"
FIELDS = ("Content-Type", "key", "policy", "signature")
_NOT_GOOD = "is not for this key and Content-Type, or is older than"


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a signed form allows: this owner to send this file."""

    owner: str
    file: StoredFile


class Addresses:
    """Signs forms and reads them back."""

    def __init__(self, secret: bytes, retention_seconds: float) -> None:
        self._secret = secret
        self._retention_seconds = retention_seconds

    def address(self, owner: str, file: StoredFile) -> UploadAddress:
        expires_at = file.created_at + ADDRESS_SECONDS
        allowed = {"owner": owner, "id": file.id, "expires_at": expires_at, **record_of(file)}
        policy = base64.b64encode(json.dumps(allowed).encode()).decode()
        fields = {
            "Content-Type": file.mime_type,
            "key": file.id,
            "policy": policy,
            "signature": self._sign(policy),
        }
        return UploadAddress(file=file, url=PATH, fields=fields, expires_at=expires_at)

    def ticket(self, fields: Mapping[str, str]) -> Ticket:
        """What the form allows.

        Raises `Unsigned` if it is none of ours, `Forbidden` if it was changed or is no longer good.
        """
        policy = fields.get("policy", "")
        signature = fields.get("signature", "").encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(signature, self._sign(policy).encode()):
            raise Unsigned
        allowed = json.loads(base64.b64decode(policy))
        same = (fields.get("key"), fields.get("Content-Type"))
        if same != (allowed["id"], allowed["mime_type"]) or allowed["expires_at"] < time.time():
            raise Forbidden.of("policy", f"{_NOT_GOOD} {ADDRESS_SECONDS // 60} minutes")
        return Ticket(allowed["owner"], file_of(allowed["id"], allowed, self._retention_seconds))

    def _sign(self, policy: str) -> str:
        data = policy.encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, data, hashlib.sha256).hexdigest()

"""What forms with files and replies about files look like, for OpenAPI."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bff.api.files import PURPOSE_PATTERN
from bff.api.openapi.replies import Shape


class FileForm(Shape):
    """A file to be kept."""

    file: Annotated[str, Field(json_schema_extra={"format": "binary"})]
    purpose: Annotated[str, Field(pattern=PURPOSE_PATTERN, description="Any.")] = ""


class SignedForm(Shape):
    """The `fields` of an upload, as they are, and the file behind them."""

    content_type: Annotated[str, Field(alias="Content-Type")]
    key: str
    policy: str
    signature: str
    file: Annotated[str, Field(json_schema_extra={"format": "binary"})]


class FileState(Shape):
    """A file, as OpenAI's clients know it. Times are seconds since 1970."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    mime_type: Annotated[str, Field(description="What was found in it.")]
    status: Literal["processed", "pending"]


class FileUpload(FileState):
    """A file that is still to be sent: by `method` to `url`, as a form of `fields` and `file`."""

    method: Literal["POST"]
    url: str
    fields: dict[str, str]
    upload_expires_at: int


class FileList(Shape):
    """Own files, the newest first."""

    object: Literal["list"]
    data: list[FileState]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(Shape):
    id: str
    object: Literal["file"]
    deleted: Literal[True]

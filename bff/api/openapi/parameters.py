"""What requests and replies carry beside their bodies, as OpenAPI's components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bff.api.files import FILES_PER_PAGE, MAX_ASKED
from bff.api.openai.responses.routes import ITEMS_PER_PAGE, MAX_ITEMS_PER_PAGE
from bff.api.sessions import MAX_PER_PAGE
from bff.files.stored import FILE_ID

PARAMETERS: Mapping[str, dict[str, Any]] = {
    "XRequestId": {
        "name": "X-Request-Id",
        "in": "header",
        "description": "Kept if it is a sane one: `[A-Za-z0-9._-]{1,64}`.",
        "schema": {"type": "string"},
    },
    "XOnBehalfOf": {
        "name": "X-On-Behalf-Of",
        "in": "header",
        "description": "The user an API key acts for. Refused beside a JWT.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same key and body give the same run, never a second call of the agent.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    },
    "SecWebSocketProtocol": {
        "name": "Sec-WebSocket-Protocol",
        "in": "header",
        "description": "`chat.v1`, and from browsers `bearer.<JWT>` beside it.",
        "schema": {"type": "string", "examples": ["chat.v1"]},
    },
    "LastEventId": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The last event seen; wins over `after`.",
        "schema": {"type": "string", "pattern": "^[0-9]{1,15}$"},
    },
    "After": {
        "name": "after",
        "in": "query",
        "description": "The last event seen.",
        "schema": {"type": "integer", "minimum": 0, "default": 0},
    },
    "Limit": {
        "name": "limit",
        "in": "query",
        "description": "The most items of a page.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PER_PAGE},
    },
    "Cursor": {
        "name": "cursor",
        "in": "query",
        "description": "The last page's `next_cursor`.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,4096}$"},
    },
    "OnDisconnect": {
        "name": "on_disconnect",
        "in": "query",
        "description": "What becomes of the run when its last reader has gone.",
        "schema": {"enum": ["cancel", "continue"], "default": "cancel"},
    },
    "ProtocolVersion": {
        "name": "protocolVersion",
        "in": "query",
        "description": "What a client from before 1.0 understands, as it does not say so itself.",
        "schema": {
            "type": "string",
            "pattern": r"^[0-9]{1,6}(\.[0-9]{1,6}){1,2}$",
            "examples": ["0.0.59"],
        },
    },
    "RunId": {
        "name": "run_id",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
    },
    "SessionId": {
        "name": "session_id",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
    },
    "ResponseId": {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "A response's id, `resp_` and the rest of its run's.",
        "schema": {"type": "string", "minLength": 1},
    },
    "ResponseStream": {
        "name": "stream",
        "in": "query",
        "description": "Its events from `starting_after` on, while they are kept.",
        "schema": {"type": "boolean", "default": False},
    },
    "StartingAfter": {
        "name": "starting_after",
        "in": "query",
        "description": "The sequence number of the last event seen.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "ItemLimit": {
        "name": "limit",
        "in": "query",
        "schema": {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_ITEMS_PER_PAGE,
            "default": ITEMS_PER_PAGE,
        },
    },
    "ItemAfter": {
        "name": "after",
        "in": "query",
        "description": "The id of the last item of the page before.",
        "schema": {"type": "string"},
    },
    "ItemOrder": {
        "name": "order",
        "in": "query",
        "schema": {"type": "string", "enum": ["asc", "desc"], "default": "desc"},
    },
    "ModelId": {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "An agent's name.",
        "schema": {"type": "string", "minLength": 1},
    },
    "FileId": {
        "name": "file_id",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
    },
    "FilesLimit": {
        "name": "limit",
        "in": "query",
        "description": f"The most files of a page, which has {FILES_PER_PAGE} at most.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_ASKED},
    },
    "FilesAfter": {
        "name": "after",
        "in": "query",
        "description": "The last page's `last_id`.",
        "schema": {"type": "string", "pattern": f"^{FILE_ID.pattern}$"},
    },
    "FilesOrder": {
        "name": "order",
        "in": "query",
        "description": "By when they were made.",
        "schema": {"type": "string", "enum": ["asc", "desc"], "default": "desc"},
    },
    "FilesPurpose": {
        "name": "purpose",
        "in": "query",
        "description": "Only files that were sent with this purpose.",
        "schema": {"type": "string"},
    },
    "Range": {
        "name": "Range",
        "in": "header",
        "description": "One range of bytes: `bytes=0-99`, `bytes=100-` or `bytes=-100`.",
        "schema": {"type": "string"},
    },
    "IfRange": {
        "name": "If-Range",
        "in": "header",
        "description": "The `ETag` of the file that the range is for; else it comes whole.",
        "schema": {"type": "string"},
    },
    "ChatId": {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "The chat's id, percent-encoded.",
        "schema": {"type": "string", "minLength": 1},
    },
}

HEADERS: Mapping[str, dict[str, Any]] = {
    "X-Request-Id": {"description": "Finds the request in the logs.", "schema": {"type": "string"}},
    "X-RateLimit-Limit": {
        "description": "Requests per window.",
        "schema": {"type": "integer"},
    },
    "X-RateLimit-Remaining": {
        "description": "Requests left in this window.",
        "schema": {"type": "integer"},
    },
    "X-RateLimit-Reset": {
        "description": "Seconds from now until the whole limit is there again.",
        "schema": {"type": "integer"},
    },
    "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}},
    "X-Should-Retry": {
        "description": "Once the agent was called: who repeats the request pays it twice.",
        "schema": {"const": "false"},
    },
    "X-Run-Id": {"description": "The run.", "schema": {"type": "string"}},
    "X-Session-Id": {"description": "The session.", "schema": {"type": "string"}},
    "WWW-Authenticate": {"description": "Always `Bearer`.", "schema": {"type": "string"}},
}

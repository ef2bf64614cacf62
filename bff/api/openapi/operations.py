"""What each route takes and may answer: the part of OpenAPI that neither router nor models know.

Names, summaries and paths come from the routes and their handlers, request bodies from the models
the handlers read, errors from the error tree. A route without an entry fails a test.
"""

from __future__ import annotations

from collections.abc import Mapping

from bff import errors
from bff.api.agui.run_input import RunAgentInput
from bff.api.ai_sdk.chat import UIChatRequest
from bff.api.chat_request import ChatRequest
from bff.api.files import UploadRequest
from bff.api.openai.chat_completions import ChatCompletionRequest
from bff.api.openai.responses.routes import ResponseRequest
from bff.api.openapi import file_shapes, openai_shapes, replies
from bff.api.openapi.operation import (
    ENDS_RUN,
    FILES,
    HISTORY,
    SENDS_FILE,
    STARTS_RUN,
    Operation,
    Reply,
)
from bff.api.session_actions import ForkRequest
from bff.api.sessions import TitleRequest

_CALCULATE = "What is 15 * 23?"
_SNAPSHOT = "`MESSAGES_SNAPSHOT`, and the open run, which `X-Run-Id` names."
_NATIVE = Reply(
    description="The run's events as Server-Sent Events, ended by `done` or `error`.",
    stream=("ChatEvent",),
    run=True,
)
_UI = Reply(
    description="The run as an AI SDK UI message stream.",
    stream=("UIMessagePart", "[DONE]"),
    run=True,
    headers={"X-Vercel-AI-UI-Message-Stream": "Always `v1`."},
)
_FILE = Reply(description="What is known of the file.", json=file_shapes.FileState)
_CONTENT_HEADERS = {
    "Accept-Ranges": "Always `bytes`.",
    "Content-Disposition": "Always `attachment`, with the file's name.",
    "ETag": "For `If-Range`.",
}
_OPENAI_RATE = {
    "x-ratelimit-limit-requests": "As `X-RateLimit-Limit`.",
    "x-ratelimit-remaining-requests": "As `X-RateLimit-Remaining`.",
    "x-ratelimit-reset-requests": "As `X-RateLimit-Reset`, with the unit.",
}
_RESPONSE = Reply(description="The response as it is now.", json=openai_shapes.Response, run=True)
_STATE = Reply(description="The run as it is now.", json=replies.RunState, run=True)

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("POST", "/v1/chat"): Operation(
        tag="Chat",
        body=ChatRequest,
        examples={
            "tool": {"message": _CALCULATE, "session_id": "demo"},
            "no session": {"message": "Hello"},
            "metadata": {"message": "Hello", "metadata": {"locale": "en"}},
        },
        parameters=("IdempotencyKey",),
        replies={200: Reply(description="The answer.", json=replies.ChatAnswer, run=True)},
        problems=(*STARTS_RUN, *ENDS_RUN),
    ),
    ("POST", "/v1/chat/stream"): Operation(
        tag="Chat",
        body=ChatRequest,
        examples={
            "tool": {"message": _CALCULATE, "session_id": "demo"},
            "reasoning": {"message": "/think about it"},
            "stop when the client leaves": {"message": "Hello", "on_disconnect": "cancel"},
        },
        parameters=("IdempotencyKey",),
        replies={200: _NATIVE},
        problems=STARTS_RUN,
    ),
    ("GET", "/v1/ws/chat"): Operation(
        tag="Chat",
        parameters=("SecWebSocketProtocol",),
        replies={101: Reply(description="A WebSocket: docs/websocket.md has its frames.")},
        problems=(errors.Draining,),
    ),
    ("GET", "/v1/runs/{run_id}"): Operation(
        tag="Runs",
        parameters=("RunId",),
        replies={200: _STATE},
        problems=(errors.NotFound, errors.Overloaded),
    ),
    ("GET", "/v1/runs/{run_id}/events"): Operation(
        tag="Runs",
        parameters=("RunId", "LastEventId", "After"),
        replies={
            200: _NATIVE,
            204: Reply(description="Nothing is left to say; EventSource stops here.", run=True),
        },
        problems=(errors.NotFound, errors.Overloaded),
    ),
    ("POST", "/v1/runs/{run_id}/cancel"): Operation(
        tag="Runs",
        parameters=("RunId",),
        replies={200: _STATE},
        problems=(errors.NotFound, errors.Overloaded),
    ),
    ("GET", "/v1/sessions"): Operation(
        tag="Sessions",
        parameters=("Limit", "Cursor"),
        replies={200: Reply(description="A page of sessions.", json=replies.SessionList)},
        problems=HISTORY,
    ),
    ("GET", "/v1/sessions/{session_id}"): Operation(
        tag="Sessions",
        parameters=("SessionId", "Limit", "Cursor"),
        replies={200: Reply(description="A page of messages.", json=replies.SessionHistory)},
        problems=(errors.NotFound, *HISTORY),
    ),
    ("PATCH", "/v1/sessions/{session_id}"): Operation(
        tag="Sessions",
        parameters=("SessionId",),
        body=TitleRequest,
        examples={"title": {"title": "Sums"}},
        replies={200: Reply(description="The session.", json=replies.SessionState)},
        problems=(errors.NotFound, errors.SessionBusy, *HISTORY),
    ),
    ("DELETE", "/v1/sessions/{session_id}"): Operation(
        tag="Sessions",
        parameters=("SessionId",),
        replies={204: Reply(description="It is gone for every reader.")},
        problems=(errors.NotFound, errors.SessionBusy, *HISTORY),
    ),
    ("POST", "/v1/sessions/{session_id}/fork"): Operation(
        tag="Sessions",
        parameters=("SessionId",),
        body=ForkRequest,
        may_be_empty=True,
        examples={"all of it": {}, "with a name": {"title": "Another way"}},
        replies={201: Reply(description="The new session.", json=replies.SessionState)},
        problems=(errors.NotFound, errors.SessionBusy, *HISTORY),
    ),
    ("POST", "/v1/sessions/{session_id}/inputs/cancel"): Operation(
        tag="Sessions",
        parameters=("SessionId",),
        replies={
            200: Reply(
                description="The run in which the agent is told.", json=replies.RunState, run=True
            ),
            204: Reply(description="Nothing was open."),
        },
        problems=STARTS_RUN,
    ),
    ("POST", "/v1/chat/completions"): Operation(
        tag="OpenAI",
        body=ChatCompletionRequest,
        examples={
            "blocking": {"model": "agent", "messages": [{"role": "user", "content": _CALCULATE}]},
            "stream": {
                "model": "agent",
                "messages": [{"role": "user", "content": [{"type": "text", "text": _CALCULATE}]}],
                "stream": True,
                "stream_options": {"include_usage": True},
                "metadata": {"session_id": "demo"},
            },
        },
        replies={
            200: Reply(
                description="The answer, or with `stream` the chunks of it.",
                json=openai_shapes.ChatCompletion,
                stream=("ChatCompletionChunk", "CompletionError", "[DONE]"),
                run=True,
                headers=_OPENAI_RATE,
            )
        },
        problems=(*STARTS_RUN, *ENDS_RUN),
    ),
    ("POST", "/v1/responses"): Operation(
        tag="OpenAI",
        body=ResponseRequest,
        examples={
            "blocking": {"model": "agent", "input": _CALCULATE},
            "stream": {"model": "agent", "input": _CALCULATE, "stream": True},
            "in the background": {"model": "agent", "input": _CALCULATE, "background": True},
        },
        replies={
            200: Reply(
                description="The response, or with `stream` its events.",
                json=openai_shapes.Response,
                stream=("ResponseEvent",),
                run=True,
                headers=_OPENAI_RATE,
            )
        },
        problems=(*STARTS_RUN, *ENDS_RUN),
    ),
    ("GET", "/v1/responses/{id}"): Operation(
        tag="OpenAI",
        parameters=("ResponseId", "ResponseStream", "StartingAfter"),
        replies={
            200: Reply(
                description="The response as it is now, or with `stream` its events.",
                json=openai_shapes.Response,
                stream=("ResponseEvent",),
                run=True,
            )
        },
        problems=(errors.NotFound, *HISTORY),
    ),
    ("DELETE", "/v1/responses/{id}"): Operation(
        tag="OpenAI",
        parameters=("ResponseId",),
        replies={200: Reply(description="It is gone.", json=openai_shapes.DeletedResponse)},
        problems=(errors.NotFound, errors.SessionBusy, *HISTORY),
    ),
    ("POST", "/v1/responses/{id}/cancel"): Operation(
        tag="OpenAI",
        parameters=("ResponseId",),
        replies={200: _RESPONSE},
        problems=(errors.NotFound, *HISTORY),
    ),
    ("GET", "/v1/responses/{id}/input_items"): Operation(
        tag="OpenAI",
        parameters=("ResponseId", "ItemLimit", "ItemAfter", "ItemOrder"),
        replies={200: Reply(description="A page of items.", json=openai_shapes.InputItems)},
        problems=(errors.NotFound, *HISTORY),
    ),
    ("GET", "/v1/models"): Operation(
        tag="OpenAI",
        replies={
            200: Reply(description="The agents, the default first.", json=openai_shapes.ModelList)
        },
    ),
    ("GET", "/v1/models/{id}"): Operation(
        tag="OpenAI",
        parameters=("ModelId",),
        replies={200: Reply(description="The agent.", json=openai_shapes.Model)},
        problems=(errors.NotFound,),
    ),
    ("POST", "/v1/files"): Operation(
        tag="Files",
        body=file_shapes.FileForm,
        form=True,
        replies={200: _FILE},
        problems=(errors.NoFilesKept, *SENDS_FILE),
    ),
    ("GET", "/v1/files"): Operation(
        tag="Files",
        parameters=("FilesLimit", "FilesAfter", "FilesOrder", "FilesPurpose"),
        replies={200: Reply(description="A page of files.", json=file_shapes.FileList)},
        problems=FILES,
    ),
    ("POST", "/v1/files/uploads"): Operation(
        tag="Files",
        body=UploadRequest,
        examples={"picture": {"filename": "cat.png", "mime_type": "image/png", "size": 68_231}},
        replies={200: Reply(description="Where to send it.", json=file_shapes.FileUpload)},
        problems=(*FILES, errors.FileTooLarge, errors.NoRoomForFiles),
    ),
    ("GET", "/v1/files/{file_id}"): Operation(
        tag="Files",
        parameters=("FileId",),
        replies={200: _FILE},
        problems=(errors.NotFound, *FILES),
    ),
    ("DELETE", "/v1/files/{file_id}"): Operation(
        tag="Files",
        parameters=("FileId",),
        replies={200: Reply(description="It is gone.", json=file_shapes.FileDeleted)},
        problems=(errors.NotFound, *FILES),
    ),
    ("GET", "/v1/files/{file_id}/content"): Operation(
        tag="Files",
        parameters=("FileId", "Range", "IfRange"),
        replies={
            200: Reply(description="The file's bytes.", binary=True, headers=_CONTENT_HEADERS),
            206: Reply(
                description="Those of the range.",
                binary=True,
                headers={**_CONTENT_HEADERS, "Content-Range": "Which bytes, of how many."},
            ),
        },
        problems=(errors.NotFound, errors.RangeNotSatisfiable, *FILES),
    ),
    ("POST", "/uploads"): Operation(
        tag="Files",
        open=True,
        body=file_shapes.SignedForm,
        form=True,
        replies={204: Reply(description="The file is there.")},
        problems=(
            errors.Unsigned,
            errors.Forbidden,
            errors.NotFound,
            errors.RateLimited,
            *SENDS_FILE,
        ),
    ),
    ("POST", "/v1/ui/chat"): Operation(
        tag="AI SDK",
        body=UIChatRequest,
        examples={
            "message": {
                "id": "demo",
                "messages": [
                    {"id": "1", "role": "user", "parts": [{"type": "text", "text": _CALCULATE}]}
                ],
                "trigger": "submit-message",
            }
        },
        replies={200: _UI},
        problems=STARTS_RUN,
    ),
    ("GET", "/v1/ui/chat/{id}"): Operation(
        tag="AI SDK",
        parameters=("ChatId",),
        replies={200: Reply(description="The chat as `UIMessage[]`.", json=replies.UIChat)},
        problems=(errors.NotFound, *HISTORY),
    ),
    ("GET", "/v1/ui/chat/{id}/stream"): Operation(
        tag="AI SDK",
        parameters=("ChatId",),
        replies={200: _UI, 204: Reply(description="No run is open in this chat.")},
        problems=(errors.NotFound, errors.Overloaded),
    ),
    ("POST", "/v1/ui/chat/{id}/cancel"): Operation(
        tag="AI SDK",
        parameters=("ChatId",),
        replies={200: _STATE, 204: Reply(description="No run was open in this chat.")},
        problems=(errors.NotFound, errors.Overloaded),
    ),
    ("POST", "/v1/agui"): Operation(
        tag="AG-UI",
        body=RunAgentInput,
        examples={
            "message": {
                "threadId": "demo",
                "runId": "run-1",
                "messages": [{"id": "1", "role": "user", "content": _CALCULATE}],
                "state": {},
                "tools": [],
                "context": [],
                "forwardedProps": {},
            }
        },
        parameters=("OnDisconnect", "ProtocolVersion"),
        replies={
            200: Reply(
                description="The run as AG-UI events; without `messages` an empty one.",
                stream=("AgUiEvent",),
                run=True,
            )
        },
        problems=STARTS_RUN,
    ),
    ("POST", "/v1/agui/connect"): Operation(
        tag="AG-UI",
        body=RunAgentInput,
        examples={"thread": {"threadId": "demo", "runId": "run-2", "messages": []}},
        parameters=("ProtocolVersion",),
        replies={200: Reply(description=_SNAPSHOT, stream=("AgUiEvent",))},
        problems=HISTORY,
    ),
    ("GET", "/health"): Operation(
        tag="Service",
        open=True,
        replies={200: Reply(description="The process answers.", json=replies.Health)},
    ),
    ("GET", "/ready"): Operation(
        tag="Service",
        open=True,
        replies={
            200: Reply(description="It can do its work.", json=replies.Readiness),
            503: Reply(description="It cannot, or is about to stop.", json=replies.Readiness),
        },
    ),
    ("GET", "/metrics"): Operation(
        tag="Service",
        open=True,
        replies={200: Reply(description="Prometheus' text format.", text="text/plain")},
        problems=(errors.NotFound,),
    ),
    ("GET", "/openapi.json"): Operation(
        tag="Service",
        open=True,
        replies={200: Reply(description="This document.", text="application/json")},
    ),
    ("GET", "/docs"): Operation(
        tag="Service",
        open=True,
        replies={
            200: Reply(description="This document, to be read.", text="text/html"),
            304: Reply(description="It is still what `If-None-Match` names."),
        },
    ),
}

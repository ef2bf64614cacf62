"""What OpenAI's clients are answered, for OpenAPI."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from bff.api.openapi.replies import OpenAIError, Shape


class Model(Shape):
    """An agent, as OpenAI's clients see it."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    description: str = ""


class ModelList(Shape):
    object: Literal["list"]
    data: list[Model]


class CompletionCall(BaseModel):
    """A call of the client's own tool."""

    id: str
    type: Literal["function"]
    function: dict[str, str]


class CompletionMessage(Shape):
    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: str = ""
    reasoning: str = ""
    tool_calls: list[CompletionCall] = Field(default_factory=list)
    annotations: list[dict[str, Any]] = Field(default_factory=list, description="What it cites.")
    images: list[dict[str, Any]] = Field(default_factory=list, description="What the agent made.")


class CompletionChoice(Shape):
    index: Literal[0]
    message: CompletionMessage
    logprobs: None
    finish_reason: Literal["stop", "tool_calls"]


class CompletionUsage(Shape):
    """Zeros where the agent did not say."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(Shape):
    """The whole answer, as OpenAI's clients read it."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: Annotated[list[CompletionChoice], Field(min_length=1, max_length=1)]
    usage: CompletionUsage


class CompletionDelta(Shape):
    role: Literal["assistant"] = "assistant"
    content: str = ""
    reasoning_content: str = ""
    reasoning: str = ""
    tool_calls: list[CompletionCall] = Field(default_factory=list)
    annotations: list[dict[str, Any]] = Field(default_factory=list)
    images: list[dict[str, Any]] = Field(default_factory=list)


class ChunkChoice(Shape):
    index: Literal[0]
    delta: CompletionDelta
    finish_reason: Literal["stop", "tool_calls"] | None


class ChatCompletionChunk(Shape):
    """A piece of the answer."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: CompletionUsage | None = None


class CompletionError(Shape):
    """How a stream ends whose run was not complete."""

    error: OpenAIError


class ResponseUsage(Shape):
    """Zeros where the agent did not say."""

    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


class ResponseError(Shape):
    """What failed the run: a code of ours."""

    code: str
    message: str


class Response(BaseModel):
    """The response object of OpenAI's clients; it says back what was asked for."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Literal["in_progress", "completed", "cancelled", "failed"]
    background: bool
    model: str
    output: Annotated[
        list[dict[str, Any]],
        Field(
            description="Items of type `message`, `reasoning`, `mcp_call`, `function_call`, "
            "`mcp_approval_request` or `image_generation_call`"
        ),
    ]
    error: ResponseError | None
    usage: ResponseUsage | None
    previous_response_id: str | None
    conversation: dict[str, str] | None
    store: bool
    metadata: dict[str, Any]


class ResponseEvent(BaseModel):
    """An event of a response's stream."""

    type: Annotated[
        str,
        Field(
            description="`response.created`, `response.in_progress`, `response.output_item.…`, "
            "`response.content_part.…`, `response.output_text.…`, "
            "`response.reasoning_summary_…`, `response.mcp_call…`, "
            "`response.function_call_arguments.…`, `response.image_generation_call.completed`, "
            "`response.completed`, `response.incomplete`, `response.failed` or `error`"
        ),
    ]
    sequence_number: int


class DeletedResponse(Shape):
    id: str
    object: Literal["response"]
    deleted: Literal[True]


class InputItems(Shape):
    """What a response was asked."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


IN_STREAMS: tuple[type[BaseModel], ...] = (ChatCompletionChunk, CompletionError, ResponseEvent)
"""What only streams hold."""

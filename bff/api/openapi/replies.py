"""What replies look like, for OpenAPI: the handlers build them as plain dicts, fast and unchecked.

That these shapes are the truth is what tests/api/test_openapi.py and the fuzzer hold them to: no
shape allows a field it does not name, but those of formats that are not ours.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from bff.events import InputKind, Message, RunEnd, Start, Thinking, ToolStart
from bff.history import TITLE_CHARACTERS
from bff.runs.log import Status

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FieldError(Shape):
    """One thing wrong with a request."""

    field: str
    message: str


class OpenAIError(Shape):
    """The same error as OpenAI's clients read it."""

    message: str
    type: str
    code: str
    param: str | None


class Problem(Shape):
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    error: OpenAIError
    errors: list[FieldError] = []
    inputs: Annotated[
        list[Question], Field(description="The open questions that keep it from being taken.")
    ] = []
    retry_after: Annotated[int, Field(description="Seconds until it may work.")] = 1
    should_retry: Annotated[
        Literal[False], Field(description="Present once the agent was called.")
    ] = False


class Usage(Shape):
    """Tokens, as far as the agent told."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0


class ToolCall(Shape):
    """A tool the agent has used."""

    id: str
    tool: str
    args: Any
    result: str = ""
    error: str = ""


class QuestionedTool(Shape):
    """The tool call that a question is about."""

    id: str
    name: str
    args: Any


class Question(Shape):
    """A question of the agent's; a request with `resume` answers it."""

    id: str
    kind: InputKind
    message: str = ""
    tool: QuestionedTool | None = None
    schema_: Annotated[Any, Field(alias="schema", description="JSON Schema of the answer.")] = None
    value: Annotated[Any, Field(description="What the agent gave, whole.")] = None
    expires_at: Time = ""


class ChatAnswer(Shape):
    """The whole answer."""

    message: str
    session_id: str
    run_id: str
    tool_calls: list[ToolCall]
    inputs: list[Question] = []
    usage: Usage | None = None


class RunState(Shape):
    """What is known of a run."""

    run_id: str
    session_id: str
    agent: str
    status: Status
    last_event_id: int
    created_at: Time
    ended_at: Time | None


class Fork(Shape):
    """Where a session branches off; `run_id` is the last run that both share, null for none."""

    session_id: str
    run_id: str | None


class SessionState(Shape):
    """A conversation, without what was said."""

    session_id: str
    title: Annotated[
        str, Field(description=f"At first the first message's first {TITLE_CHARACTERS} characters.")
    ]
    created_at: Time
    updated_at: Time
    agent: Annotated[str, Field(description="Who answers in it.")]
    inputs: Annotated[list[Question], Field(description="The questions that are open.")] = []
    forked_from: Fork | None = None


class SessionList(Shape):
    """Own sessions, last used first."""

    sessions: list[SessionState]
    next_cursor: str | None


class HistoryMessage(Shape):
    """What one side said in one run."""

    role: Literal["user", "assistant"]
    content: str
    run_id: str
    created_at: Time
    status: Annotated[str, Field(description="How the run ended, or `running`.")] = "complete"
    tool_calls: list[ToolCall] = []
    parts: Annotated[
        list[dict[str, Any]],
        Field(description="Where there is more than text: the parts, files by id."),
    ] = []


class SessionHistory(SessionState):
    """A conversation, oldest message first."""

    messages: list[HistoryMessage]
    next_cursor: str | None


class Health(Shape):
    status: Literal["ok"]


class Check(Shape):
    """A dependency: `ok`, or the code of what is wrong with it."""

    status: str
    latency_ms: float


class Readiness(Shape):
    """`degraded` serves on; `unavailable` and `draining` come with 503."""

    status: Literal["ready", "degraded", "unavailable", "draining"]
    checks: dict[str, Check]


class UIChatMessage(BaseModel):
    """One message of a chat, as the AI SDK's `UIMessage`."""

    id: str
    role: Literal["user", "assistant"]
    parts: list[dict[str, Any]]
    metadata: dict[str, Any] = {}


class UIChat(RootModel[list[UIChatMessage]]):
    """A chat from its beginning, ready to be a page's first messages."""


class UIMessagePart(BaseModel):
    """A part of the AI SDK's UI message stream v1."""

    type: Annotated[
        str,
        Field(
            description="`start`, `start-step`, `text-start`, `text-delta`, `text-end`, "
            "`reasoning-…`, `tool-input-available`, `tool-output-available`, `tool-output-error`, "
            "`tool-approval-request`, `tool-output-denied`, `source-url`, `file`, `data-…`, "
            "`error`, `abort`, `finish-step` or `finish`"
        ),
    ]


class AgUiEvent(BaseModel):
    """An event of AG-UI, in the version that the client knows."""

    type: Annotated[
        str,
        Field(
            description="`RUN_STARTED`, `TEXT_MESSAGE_…`, `REASONING_…` or `THINKING_…`, "
            "`TOOL_CALL_…`, `STATE_…`, `ACTIVITY_…`, `MESSAGES_SNAPSHOT`, `STEP_…`, `SUBAGENT_…`, "
            "`RAW`, `CUSTOM`, `RUN_FINISHED` or `RUN_ERROR`"
        ),
    ]


class ToolEnded(Shape):
    """A tool's result as text, or its error."""

    id: str
    tool: str
    result: str | None = None
    error: str = ""


class Finished(Shape):
    """The run ended as it should; with `input_required`, in the questions of `inputs`."""

    status: RunEnd
    usage: Usage | None = None
    inputs: list[Question] = []


class CitedSource(Shape):
    """What the agent cites."""

    url: str
    title: str = ""


class MadeFile(Shape):
    """A file the agent made: at `url`, or whole in `data`."""

    url: str = ""
    data: Annotated[str, Field(description="Base64.")] = ""
    mimeType: str
    filename: str = ""


class Kept(Shape):
    """A frame of the agent's that is none of the others."""

    name: Annotated[str, Field(description="The frame's own, where it has one.")] = ""
    value: Any


class Lost(Shape):
    """Stands where events, both ends included, are no longer kept."""

    first: Annotated[int, Field(alias="from")]
    last: Annotated[int, Field(alias="to")]


EVENT_DATA: dict[str, Any] = {
    "start": Start,
    "message": Message,
    "thinking": Thinking,
    "tool_start": ToolStart,
    "tool_end": ToolEnded,
    "source": CitedSource,
    "file": MadeFile,
    "custom": Kept,
    "input": Question,
    "done": Finished,
    "error": Problem,
    "gap": Lost,
}
"""What the `data:` of each native event is: the event itself where the two are the same."""
IN_STREAMS: tuple[type[BaseModel], ...] = (
    UIMessagePart,
    AgUiEvent,
    ToolEnded,
    CitedSource,
    MadeFile,
    Kept,
    Finished,
    Problem,
    Lost,
)
"""What only streams hold."""

"""Which agents there are, and what each is sent: the variables `AGENTS` and `AGENT_…`.

Like `bff/setting_parsers.py`: each function takes a variable's text and returns its value, or
raises `Refused` with what the variable takes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bff.setting_parsers import Refused, agent_url, matching, qualifier, runtime_arn

DEFAULT_AGENT = "agent"
"""The name of the agent where there is one."""

PayloadSetting = str | Mapping[str, Any]
"""One of `PAYLOADS`, or a JSON object with placeholders."""
PAYLOADS = ("prompt", "strands", "langgraph", "agui", "openai")
FilesFor = Literal["inline", "url", "s3"]
Cancel = Literal["close", "stop-session"]

MAX_AGENTS = 100
MAX_HEADERS = 20
"""AgentCore passes on at most so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSetting:
    """One agent: an AgentCore runtime by its ARN, or a container by its address."""

    name: str = DEFAULT_AGENT
    arn: str | None = None
    url: str | None = None
    qualifier: str = "DEFAULT"
    payload: PayloadSetting = "prompt"
    cancel: Cancel = "close"
    files: FilesFor = "inline"
    description: str | None = None


def payload(text: str) -> PayloadSetting:
    """One of the known shapes by name, or a template as JSON."""
    if text in PAYLOADS:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    return _payload(value)


# what bff/agents/payload/values.py has values for; a test holds the two together
PLACEHOLDERS = frozenset(
    [
        "$message",
        "$content",
        "$messages",
        "$history",
        "$system",
        "$session_id",
        "$actor_id",
        "$run_id",
        "$metadata",
        "$tools",
        "$context",
        "$state",
        "$options",
        "$files",
        "$resume",
        "$resume_list",
        "$tool_results",
    ]
)


def _payload(value: Any) -> PayloadSetting:
    if isinstance(value, str) and value in PAYLOADS:
        return value
    if not isinstance(value, dict):
        raise Refused(f"{', '.join(PAYLOADS)} or a JSON object")
    if not re.search(r"\$(message|content|messages)\b", json.dumps(value)):
        raise Refused("a JSON object with $message, $content or $messages somewhere in it")
    if unknown := sorted(set(_named(value)) - PLACEHOLDERS):
        raise Refused(f"placeholders such as $message and $session_id, and {unknown[0]} is none")
    return value


def _named(value: Any) -> Iterator[str]:
    """What stands in a template as a placeholder does: all of a value, in lower case."""
    match value:
        case dict():
            for one in value.values():
                yield from _named(one)
        case list():
            for one in value:
                yield from _named(one)
        case str() if re.fullmatch(r"\$[a-z_]+", value):
            yield value


agent_name = matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "support-agent")


def agents(text: str) -> tuple[AgentSetting, ...]:
    """`AGENTS`: a JSON object, or the path of a file that holds one."""
    takes = 'a JSON object {"NAME": {"arn" or "url", …}, …}, or the path of a file that holds one'
    if not text.startswith("{"):
        try:
            text = Path(text).read_text()
        except (OSError, ValueError):
            raise Refused(takes) from None
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise Refused(str(error) if isinstance(error, _Twice) else takes) from None
    if not isinstance(value, dict) or not 1 <= len(value) <= MAX_AGENTS:
        raise Refused(f"{takes}, 1 to {MAX_AGENTS} of them")
    return tuple(_agent(name, fields) for name, fields in value.items())


class _Twice(ValueError):
    """A name stands in one object twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise _Twice(f"each name once, and {name!r} is there twice")
    return dict(pairs)


_FIELDS = {"arn", "url", "qualifier", "payload", "cancel", "files", "description"}


def _agent(name: str, fields: Any) -> AgentSetting:
    try:
        agent_name(name)
    except Refused as refusal:
        raise Refused(f"names like support-agent, and {name!r} is none") from refusal
    where = f"for {name!r} "
    if not isinstance(fields, dict) or set(fields) - _FIELDS:
        raise Refused(f"{where}an object of {', '.join(sorted(_FIELDS))}")
    if ("arn" in fields) == ("url" in fields):
        raise Refused(f"{where}either arn or url")
    for field in ("arn", "url", "qualifier", "cancel", "files", "description"):
        if field in fields and not isinstance(fields[field], str):
            raise Refused(f"{where}text as {field}")
    try:
        return AgentSetting(
            name=name,
            arn=runtime_arn(fields["arn"]) if "arn" in fields else None,
            url=agent_url(fields["url"]) if "url" in fields else None,
            qualifier=qualifier(fields.get("qualifier", "DEFAULT")),
            payload=_payload(fields.get("payload", "prompt")),
            cancel=cancel(fields.get("cancel", "close")),
            files=files_for(fields.get("files", "inline")),
            description=fields.get("description"),
        )
    except Refused as refusal:
        raise Refused(f"{where}{refusal}") from refusal


def cancel(text: str) -> Cancel:
    match text:
        case "close" | "stop-session":
            return text
    raise Refused("close or stop-session")


def files_for(text: str) -> FilesFor:
    match text:
        case "inline" | "url" | "s3":
            return text
    raise Refused("inline, url or s3")


def header_names(text: str) -> tuple[str, ...]:
    """Names of request headers, as the client writes them."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names or not all(re.fullmatch(_HEADER_NAME, name) for name in names):
        raise Refused("names of headers, comma-separated")
    return names


_HEADER_NAME = r"[A-Za-z0-9][A-Za-z0-9-]{0,127}"


def session_headers(text: str) -> tuple[str, ...]:
    """`SESSION_HEADERS`: never a credential, since a session id is shown in replies."""
    names = header_names(text)
    for name in names:
        if name.lower() in _NEVER_PASSED:
            raise Refused(f"names of headers that name a conversation, and {name} does not")
    return names


def passed_headers(text: str) -> tuple[str, ...]:
    """`AGENT_HEADERS`: never a credential of ours, nor what HTTP or AWS itself needs."""
    names = header_names(text)
    if len({name.lower() for name in names}) > MAX_HEADERS:
        raise Refused(f"at most {MAX_HEADERS} names, as AgentCore does")
    for name in names:
        lower = name.lower()
        custom = lower.startswith("x-amzn-bedrock-agentcore-runtime-custom-")
        if lower in _NEVER_PASSED or (lower.startswith(("x-amz", "sec-", "proxy-")) and not custom):
            raise Refused(f"names of the client's own headers, and {name} is none")
    return names


_NEVER_PASSED = frozenset(
    {
        *("authorization", "cookie", "x-api-key", "x-on-behalf-of", "host", "connection", "accept"),
        *("content-length", "content-type", "content-encoding", "transfer-encoding", "upgrade"),
        *("te", "trailer", "expect", "keep-alive", "user-agent", "accept-encoding"),
        *("traceparent", "tracestate", "baggage", "x-forwarded-for"),
    }
)

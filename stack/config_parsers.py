"""What the text of each key may be: one small parser a kind of value.

Each returns the value or raises `Refused` with what the key takes; the reader adds the key and what
it got. What the service itself judges is left to it.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from bff.setting_parsers import Refused, http_url, matching, shown, whole
from bff.settings import Settings, SettingsError
from stack.cron import aws_cron

# Enough for the service to start: what is checked is one variable put on top.
_STARTS = {
    "ENVIRONMENT": "stack",
    "AGENT_URL": "embedded:",
    "HISTORY": "sqlite:///x",
    "FILES": "s3://files/files",
    "JWT_SECRET": "x" * 32,
}
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
SECRET_ARN = re.compile(
    r"arn:aws[a-z-]*:(secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]+(:[\w.@-]*:[\w.@-]*:[\w-]*)?"
    r"|ssm:[a-z0-9-]+:\d{12}:parameter/[\w./-]+)"
)
secret_arn = matching(
    SECRET_ARN.pattern, "the ARN of a secret in Secrets Manager or of a parameter in SSM"
)


@dataclass(frozen=True, slots=True)
class Otel:
    """Where traces go: an OTLP endpoint, or X-Ray through a collector beside the service."""

    endpoint: str
    headers_secret: str | None = None
    xray: bool = False

    @property
    def port(self) -> int:
        parts = urlsplit(self.endpoint)
        return parts.port or (443 if parts.scheme == "https" else 80)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """From this moment on, this many tasks."""

    cron: str
    timezone: str
    min_tasks: int
    max_tasks: int


NO_PLACES = frozenset({"Factory", "localtime"})
"""Files of the time zone database that name no place, and that AWS does not know."""
_PLACE = r"UTC|[A-Z][A-Za-z_]*(/[A-Za-z0-9_+-]+){1,2}"
COLLECTOR = "http://127.0.0.1:4318"
"""OTLP over HTTP, in the task itself."""


def number_of(*choices: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if text not in map(str, choices):
            raise Refused("one of " + ", ".join(map(str, choices)))
        return int(text)

    return parse


def flag(text: str) -> bool:
    """Pulumi's own booleans, in no other spelling."""
    match text.lower():
        case "true":
            return True
        case "false":
            return False
        case _:
            raise Refused("true or false")


def texts(most: int) -> Callable[[str], str]:
    return matching(f"(?s).{{1,{most}}}", f"text of 1 to {most} characters")


def tags(text: str) -> Mapping[str, str]:
    """What every service takes: IAM, S3 and ECS are stricter than the rest.

    https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
    """
    found = map_of(_tag(256))(text)
    for key in found:
        _ = _tag(128)(key)
        if not key or key.lower().startswith("aws:"):
            raise Refused(f"keys of 1 to 128 characters that do not begin with aws:, not {key!r}")
    return found


def _tag(most: int) -> Callable[[str], str]:
    takes = f"up to {most} letters, digits, spaces and _ . : / = + - @ each"
    return matching(rf"[\w .:/=+@-]{{0,{most}}}", takes)


def map_of(parse_one: Callable[[str], str]) -> Callable[[str], Mapping[str, str]]:
    def parse(text: str) -> Mapping[str, str]:
        items = _json(text)
        if not isinstance(items, dict):
            raise Refused("a map")
        return {name: parse_one(_as_text(item)) for name, item in items.items()}

    return parse


def _as_text(value: Any) -> str:
    """As YAML's plain values are meant: `true` is the service's own word, `8` its number."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def list_of(parse_one: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        items = _json(text)
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise Refused("a list of strings")
        if len(set(items)) < len(items):
            raise Refused("each value once")
        return tuple(parse_one(item) for item in items)

    return parse


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def as_the_service_takes(variable: str, template: str = "{}") -> Callable[[str], str]:
    """What the service would refuse at its start is refused here, in its own words."""

    def parse(text: str) -> str:
        environ = _STARTS | {variable: template.format(text)}
        if variable in ("AGENT_RUNTIME_ARN", "AGENTS"):
            del environ["AGENT_URL"]
        try:
            Settings.load(environ)
        except SettingsError as error:
            raise Refused(error.takes) from None
        return text

    return parse


def agents(text: str) -> Mapping[str, Mapping[str, object]]:
    """Agents by name, each an AgentCore runtime: the service's own form, without `url`."""
    found = _json(text)
    takes = 'a map of names to {"arn", "qualifier"?, "payload"?}'
    if not isinstance(found, dict) or not found:
        raise Refused(takes)
    for name, agent in found.items():
        if not isinstance(agent, dict) or "arn" not in agent:
            raise Refused(f"{takes}, and {name!r} has no arn")
    _ = as_the_service_takes("AGENTS")(json.dumps(found))
    return found


def cidr(text: str) -> str:
    takes = "a private network such as 10.20.0.0/16, from /16 to /20"
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError:
        raise Refused(takes) from None
    # Python's `is_private` has what no VPC may be as well: loopback, link-local, 0.0.0.0/8.
    inside = any(network.subnet_of(ipaddress.IPv4Network(block)) for block in _PRIVATE)
    if not inside or not 16 <= network.prefixlen <= 20:
        raise Refused(takes)
    return text


def otel(text: str) -> Otel:
    takes = "xray or {endpoint: https://…, headersSecret: ARN}"
    if text == "xray":
        return Otel(COLLECTOR, xray=True)
    found = _json(text)
    if not isinstance(found, dict) or not found.keys() <= {"endpoint", "headersSecret"}:
        raise Refused(takes)
    if not isinstance(found.get("endpoint"), str):
        raise Refused(takes)
    secret = found.get("headersSecret")
    return Otel(http_url()(found["endpoint"]), None if secret is None else secret_arn(str(secret)))


def schedule(text: str) -> tuple[Scheduled, ...]:
    takes = "a list of {cron, timezone, minTasks, maxTasks}"
    found = _json(text)
    if not isinstance(found, list):
        raise Refused(takes)
    steps = []
    for step in found:
        if not isinstance(step, dict) or step.keys() != {
            *("cron", "timezone", "minTasks", "maxTasks")
        }:
            raise Refused(takes)
        least, most = (whole(0, 500)(str(step[key])) for key in ("minTasks", "maxTasks"))
        if least > most:
            raise Refused(f"minTasks {least} of a step no more than its maxTasks {most}")
        timezone = _timezone(step["timezone"])
        steps.append(Scheduled(aws_cron(str(step["cron"])), timezone, least, most))
    return tuple(steps)


def _timezone(value: Any) -> str:
    """AWS's are Joda-Time's: IANA's, without what a machine's files have beside them."""
    name = value if isinstance(value, str) else ""
    here = available_timezones() - NO_PLACES
    # A container may have no time zones at all; then their form is all that can be judged.
    if not (name in here if here else re.fullmatch(_PLACE, name)):
        raise Refused(f"a timezone such as Europe/Berlin, not {shown(str(value))}")
    return name


def joined(items: Sequence[object], most: int = 8) -> str:
    """The items of a long choice, its middle left out."""
    shown = items if len(items) <= most else (*items[:3], "…", items[-1])
    return ", ".join(map(str, shown))

"""OpenTelemetry's own variables: those that its SDK goes by in the service, and what each may be.

The service leaves them to the SDK, which passes over what it cannot read and refuses to start with
some of it. So they are judged here, by name and value; any other `OTEL_…` would do nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import TYPE_CHECKING

from bff.setting_parsers import Refused, matching, one_of, shown

if TYPE_CHECKING:
    from stack.config import StackConfig
    from stack.config_reader import Reader

PREFIX = "OTEL_"
EXPORTER = "OTEL_EXPORTER_OTLP_"
HEADERS = f"{EXPORTER}HEADERS"
Parse = Callable[[str], str]

_count = matching(r"[1-9][0-9]{0,8}", "a whole number from 1")
_limit = matching(r"[0-9]{1,9}", "a whole number")
_path = matching(r"/\S+", "the path of a file in the image")
_pairs = matching(r"[^=,]+=[^,]*(,[^=,]+=[^,]*)*", "NAME=VALUE,NAME=VALUE, percent-encoded")
_plain_samplers = ("always_on", "always_off", "traceidratio")

_EXPORTING: Mapping[str, Parse] = {
    "HEADERS": _pairs,
    "COMPRESSION": one_of("none", "gzip", "deflate"),
    "CERTIFICATE": _path,
    "CLIENT_CERTIFICATE": _path,
    "CLIENT_KEY": _path,
}
READ: Mapping[str, Parse] = {
    **{f"{EXPORTER}{what}": parse for what, parse in _EXPORTING.items()},
    **{f"{EXPORTER}TRACES_{what}": parse for what, parse in _EXPORTING.items()},
    "OTEL_TRACES_SAMPLER": one_of(
        *_plain_samplers, *(f"parentbased_{name}" for name in _plain_samplers)
    ),
    "OTEL_TRACES_SAMPLER_ARG": matching(r"0(\.[0-9]+)?|1(\.0+)?", "a share from 0 to 1"),
    "OTEL_RESOURCE_ATTRIBUTES": _pairs,
    "OTEL_SDK_DISABLED": one_of("true", "false"),
    "OTEL_BSP_SCHEDULE_DELAY": _count,
    "OTEL_BSP_EXPORT_TIMEOUT": _count,
    "OTEL_BSP_MAX_QUEUE_SIZE": _count,
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": _count,
    "OTEL_ATTRIBUTE_COUNT_LIMIT": _limit,
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": _limit,
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": _limit,
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": _limit,
    "OTEL_SPAN_EVENT_COUNT_LIMIT": _limit,
    "OTEL_SPAN_LINK_COUNT_LIMIT": _limit,
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": _limit,
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": _limit,
}
"""docs/metrics.md lists them."""
_QUEUE, _BATCH = 2048, 512
"""The SDK's own, which refuses to start with a batch that is more than its queue."""


def judge(config: StackConfig, read: Reader, owned: Container[str]) -> None:
    """Refuse each that would do nothing, or that the SDK could not read.

    Of `owned`, what the stack sets itself, somebody else tells.
    """
    otel = config.task.otel
    told, secret = config.task.environment, config.task.secrets
    for key, given in (("environment", told), ("secrets", secret)):
        for name in given:
            if not name.startswith(PREFIX) or name in owned:
                continue
            if name not in READ:
                read.refuse(
                    key,
                    f"got {name}, which does nothing here: takes those of OpenTelemetry's that "
                    "docs/metrics.md lists",
                )
            elif otel is None:
                read.refuse(
                    key, f"got {name} without otel, takes that too: nothing else sends traces"
                )
            elif otel.xray and name.startswith(EXPORTER):
                read.refuse(
                    key, f"got {name} with otel xray, takes it with an endpoint of your own"
                )
            elif key == "environment":
                _judge_value(name, told[name], read)
            if name == HEADERS and otel and otel.headers_secret:
                # ECS takes a name once, and of two secrets one would be ignored
                read.refuse(key, f"got {name} beside headersSecret of otel, takes one of them")
    queue = told.get("OTEL_BSP_MAX_QUEUE_SIZE", str(_QUEUE))
    batch = told.get("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", str(_BATCH))
    if queue.isdecimal() and batch.isdecimal() and int(batch) > int(queue):
        takes = f"OTEL_BSP_MAX_EXPORT_BATCH_SIZE {batch}, takes no more than the queue of {queue}"
        read.refuse("environment", f"got {takes}")


def _judge_value(name: str, value: str, read: Reader) -> None:
    try:
        _ = READ[name](value)
    except Refused as refusal:
        got = read.shown("environment", shown(value))
        read.refuse("environment", f"{name}: got {got}, takes {refusal}")

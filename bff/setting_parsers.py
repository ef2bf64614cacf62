"""What the text of each variable may be: one small parser a kind of value.

Each returns the value or raises `Refused` with what the variable takes; `bff/settings.py` adds the
variable's name and what it got.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

EMBEDDED = "embedded:"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key's name and the SHA-256 of the key, in hex."""

    name: str
    digest: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SqliteHistory:
    path: str


@dataclass(frozen=True, slots=True)
class DynamoHistory:
    table: str


@dataclass(frozen=True, slots=True)
class MemoryHistory:
    """AgentCore Memory. `write` is false where the agent writes the conversation itself."""

    memory_id: str
    write: bool = True


HistorySetting = SqliteHistory | DynamoHistory | MemoryHistory


@dataclass(frozen=True, slots=True)
class FolderFiles:
    path: str


@dataclass(frozen=True, slots=True)
class BucketFiles:
    """An S3 bucket; keys begin with `prefix`, which is empty or ends in a slash."""

    bucket: str
    prefix: str = ""


FilesSetting = FolderFiles | BucketFiles


class Refused(ValueError):
    """What a variable takes."""


def shown(text: str) -> str:
    """A value in an error, quoted and cut, without what may be a secret in an address."""
    text = _SECRET_PARTS.sub(r"\1\2…", text)
    return repr(text if len(text) <= 100 else text[:100] + "…")


_SECRET_PARTS = re.compile(r"""(//)[^\s"']+(?=@)|([?&][^\s"'=&]*=)[^\s"'&#]+""")


def _split(text: str) -> Iterator[str]:
    return (part for part in (piece.strip() for piece in text.split(",")) if part)


def whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise Refused(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def workers(text: str) -> int:
    """How many processes; `auto` is as many as there are cores that this one may use."""
    if text != "auto":
        try:
            return whole(1, 64)(text)
        except Refused:
            raise Refused("auto, or a whole number from 1 to 64") from None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, 64))


def seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text) if re.fullmatch(r"[0-9]{0,12}\.?[0-9]{1,6}", text) else math.nan
        if not low <= value <= high:
            raise Refused(f"seconds from {low:g} to {high:g}")
        return value

    return parse


timeout = seconds(0.1, 86400)

_UNIT_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(low: float, high: float) -> Callable[[str], float]:
    """Seconds, or a number with its unit: `45m`, `12h`, `30d`."""

    def parse(text: str) -> float:
        found = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([smhd]?)", text)
        value = float(found[1]) * _UNIT_SECONDS[found[2]] if found else math.nan
        if not low <= value <= high:
            takes = "seconds, or a number with its unit such as 45m, 12h or 30d"
            raise Refused(f"{takes}, {low:g} s to {high / 86_400:g} d")
        return value

    return parse


def both_timeouts(text: str) -> tuple[float, float]:
    value = timeout(text)
    return value, value


def boolean(text: str) -> bool:
    match text.lower():
        case "true" | "1" | "yes" | "on":
            return True
        case "false" | "0" | "no" | "off":
            return False
        case _:
            raise Refused("true or false")


def one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise Refused(" or ".join(choices))
        return text

    return parse


def log_level(text: str) -> str:
    return one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")(text.upper())


def matching(pattern: str, takes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise Refused(takes)
        return text

    return parse


region = matching(r"[a-z]{2}(-[a-z]+)+-[0-9]", "something like us-west-2")
qualifier = matching(r"[a-zA-Z][a-zA-Z0-9_]{0,47}", "something like DEFAULT")


def name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text):
        raise Refused("1 to 64 letters, digits, '.', '_' or '-', a letter or digit first")
    return text


def host(text: str) -> str:
    if not _is_host(text):
        raise Refused("an IP address or a host name to listen on")
    return text


def _is_host(text: str) -> bool:
    """Whether it is an IP address, or a name that can be asked for."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        try:
            name = text.encode("idna").decode()
        except UnicodeError:
            return False
        return (
            len(name) <= 254
            and re.fullmatch(rf"{_LABEL}(\.{_LABEL})*\.?", name) is not None
            and not re.fullmatch(r"[0-9.]+", name)
        )
    return True


_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"


def visible(text: str) -> str:
    if not text.isprintable() or " " in text or len(text) > 2048:
        raise Refused("text without spaces")
    return text


def http_url(*, https_only: bool = False) -> Callable[[str], str]:
    takes = "an https:// address" + ("" if https_only else " or http:// address")

    def parse(text: str) -> str:
        parts = _url(text, takes)
        if parts.scheme not in (("https",) if https_only else ("http", "https")):
            raise Refused(takes)
        if not _names_host(parts) or parts.username or parts.password or parts.fragment:
            raise Refused(takes + " without user, password or fragment")
        return text

    return parse


def _url(text: str, takes: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Refused(takes) from None
    if re.search(r"[\s\x00-\x1f\\]", text) or port == 0:
        raise Refused(takes)
    return parts


def _names_host(parts: SplitResult) -> bool:
    return parts.hostname is not None and _is_host(parts.hostname)


def _path(quoted: str, takes: str) -> str:
    """Where something lies on the disk, out of an address."""
    path = unquote(quoted)
    if not path or "\0" in path:
        raise Refused(takes)
    return path


def agent_url(text: str) -> str:
    if text == EMBEDDED:
        return text
    try:
        url = http_url()(text)
    except Refused:
        takes = "embedded: or the http(s):// address of a container that answers POST /invocations"
        raise Refused(takes) from None
    if urlsplit(url).query:
        raise Refused("an address without a query")
    return url.rstrip("/")


def runtime_arn(text: str) -> str:
    # pattern of agentRuntimeArn in the service's API reference
    if not re.fullmatch(
        r"arn:aws(-[a-z-]+)?:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:"
        r"runtime/[a-zA-Z][a-zA-Z0-9_]{0,47}-[a-zA-Z0-9]{10}",
        text,
    ):
        raise Refused(
            "arn:aws:bedrock-agentcore:REGION:ACCOUNT:runtime/NAME-ID (ID has 10 characters)"
        )
    return text


def secrets(text: str) -> tuple[str, ...]:
    secrets = tuple(_split(text))
    if not secrets or any(len(secret.encode()) < 32 for secret in secrets):
        raise Refused("secrets of at least 32 bytes each, comma-separated, the first one signs")
    return secrets


def api_keys(*, plain: bool) -> Callable[[str], tuple[ApiKey, ...]]:
    takes = "name:sha256-hex, comma-separated" + (
        " (or name:plain-key)" if plain else "; `python -m bff key NAME` makes one"
    )

    def parse(text: str) -> tuple[ApiKey, ...]:
        keys = []
        for entry in _split(text):
            name, colon, value = entry.partition(":")
            if not colon or not value or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
                raise Refused(takes)
            if re.fullmatch(r"[0-9a-fA-F]{64}", value):
                digest = value.lower()
            elif plain:
                digest = hashlib.sha256(value.encode()).hexdigest()
            else:
                raise Refused(takes)
            keys.append(ApiKey(name, digest))
        names = [key.name for key in keys]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise Refused(f"each name once, and {twice!r} is there twice")
        if len({key.digest for key in keys}) < len(keys):
            raise Refused("each key once, and two names have the same key")
        return tuple(keys)

    return parse


def origins(text: str) -> tuple[str, ...]:
    origins = tuple(_split(text))
    for origin in origins:
        if origin == "*":
            raise Refused("exact origins; * cannot go together with credentials")
        if not re.fullmatch(
            r"https?://(\[[0-9a-f:]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:[0-9]{1,5})?", origin
        ):
            raise Refused(
                "exact origins such as https://app.example.com, comma-separated, lower case, "
                "no path and no slash at the end"
            )
        if re.search("^http:.*:80$|^https:.*:443$", origin):
            raise Refused(f"origins as browsers send them, {origin.rpartition(':')[0]} for one")
    return origins


def networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part) for part in _split(text))
    except ValueError:
        raise Refused("networks such as 10.0.0.0/16, comma-separated") from None


def hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(part.lower() for part in _split(text))
    for host in hosts:
        if not re.fullmatch(r"(\[[0-9a-f:]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:[0-9]{1,5})?", host):
            raise Refused("host names such as chat.example.com, comma-separated")
    return hosts


def redis_url(text: str) -> str:
    takes = "redis://HOST:PORT, rediss://…, redis+cluster://… or rediss+cluster://…"
    parts = _url(text, takes)
    if parts.scheme not in ("redis", "rediss", "redis+cluster", "rediss+cluster"):
        raise Refused(takes)
    if not _names_host(parts) or parts.fragment:
        raise Refused(takes)
    secure, cluster = parts.scheme.startswith("rediss"), parts.scheme.endswith("+cluster")
    if parts.query and not (secure and re.fullmatch(r"ssl_ca_certs=[^&=#]+", parts.query)):
        raise Refused(f"{takes}, with ?ssl_ca_certs=FILE behind rediss:// or nothing")
    if not re.fullmatch(r"/?|/[0-9]{1,5}", parts.path):
        raise Refused(takes)
    if cluster and parts.path not in ("", "/", "/0"):
        raise Refused(f"{takes}: a cluster has no database but 0")
    return text


def history(text: str) -> HistorySetting:
    takes = "sqlite:///PATH, dynamodb://TABLE or agentcore://MEMORY_ID[?write=false]"
    if text.startswith("sqlite:///"):
        return SqliteHistory(_path(text.removeprefix("sqlite:///"), takes))
    parts = _url(text, takes)
    if parts.path or parts.fragment:
        raise Refused(takes)
    match parts.scheme:
        case "dynamodb" if re.fullmatch(r"[A-Za-z0-9_.-]{3,255}", parts.netloc) and not parts.query:
            return DynamoHistory(parts.netloc)
        case "agentcore" if re.fullmatch(
            r"[a-zA-Z][a-zA-Z0-9_-]{0,99}-[a-zA-Z0-9]{10}", parts.netloc
        ):
            query = parse_qs(parts.query, keep_blank_values=True)
            write = query.pop("write", ["true"])
            if query or write not in (["true"], ["false"]):
                raise Refused(takes)
            return MemoryHistory(parts.netloc, write == ["true"])
        case _:
            raise Refused(takes)


def files(text: str) -> FilesSetting:
    takes = "file:///DIR or s3://BUCKET/PREFIX"
    if text.startswith("file:///"):
        return FolderFiles(_path(text.removeprefix("file:///"), takes))
    parts = _url(text, takes)
    if parts.scheme != "s3" or parts.query or parts.fragment:
        raise Refused(takes)
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", parts.netloc):
        raise Refused(f"{takes}, the bucket's name as S3 has it")
    prefix = parts.path.strip("/")
    if not re.fullmatch(r"[A-Za-z0-9!_.*'()/-]{0,256}", prefix) or "//" in prefix:
        raise Refused(f"{takes}, the prefix of letters, digits and !_.*'()/-, 256 at most")
    return BucketFiles(parts.netloc, f"{prefix}/" if prefix else "")

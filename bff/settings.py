"""The only reader of the environment.

`Settings.load` turns variables into one frozen object or refuses with one line that names the
variable, what it got and what it takes. Time limits that the infrastructure must agree with (the
heartbeat, the drain) are defined here once; `stack/` reads them from here. docs/configuration.md
lists every variable.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

T = TypeVar("T")

HEARTBEAT_SECONDS = 10.0
"""Longest silence on a stream; load balancers cut at 60 s, some proxies at 30 s."""
HEADERS_TIMEOUT_SECONDS = 15.0
"""From the connection, or the last reply on it, to a request's complete headers."""
BODY_TIMEOUT_SECONDS = 10.0
"""For a request's whole body."""
WRITE_TIMEOUT_SECONDS = 25.0
"""For one write to a client; a slower reader is cut and can resume."""
MAX_BODY_BYTES = 256 * 1024
MAX_MESSAGE_CHARACTERS = 32_000
STOP_GRACE_SECONDS = 4.0
"""From the end of the drain to the exit."""
DEFAULT_PORT = 8000

EMBEDDED = "embedded:"

DEFAULT_PAYLOAD = (
    '{"prompt":"$message","session_id":"$session_id","actor_id":"$actor_id","stream":true}'
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingsError(ValueError):
    """A variable that cannot be used; the text is the one line an operator reads."""

    def __init__(self, variable: str, got: str, takes: str) -> None:
        super().__init__(f"{variable}: got {got}, takes {takes}")
        self.variable = variable


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the service can be told. Secrets are not in its repr, so it may be logged."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    environment: str = "local"
    aws_region: str = "us-west-2"
    agent_runtime_arn: str | None = None
    agent_qualifier: str = "DEFAULT"
    agent_url: str | None = None
    agent_payload: Mapping[str, Any] = field(default_factory=lambda: json.loads(DEFAULT_PAYLOAD))
    agent_cancel: Literal["close", "stop-session"] = "close"
    agent_idle_timeout_seconds: float = 120.0
    agent_blocking_timeout_seconds: float = 900.0
    agent_streaming_timeout_seconds: float = 3600.0
    jwt_secrets: tuple[str, ...] = field(default=(), repr=False)
    jwt_jwks_url: str | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    api_keys: tuple[ApiKey, ...] = ()
    rate_limit_requests: int = 100
    rate_limit_window_seconds: int = 60
    max_streams_per_user: int = 10
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    metrics_allow: tuple[Network, ...] = (
        ipaddress.ip_network("127.0.0.0/8"),
        ipaddress.ip_network("::1/128"),
    )
    service_name: str = "agentcore-bff"
    debug: bool = False
    redis_url: str | None = field(default=None, repr=False)
    history: HistorySetting = SqliteHistory("data/bff.db")
    run_retention_seconds: float = 900.0
    drain_timeout_seconds: float = 100.0
    playground: bool = True
    metrics: Literal["prometheus", "emf"] = "prometheus"
    log_level: str = "INFO"
    log_format: Literal["json", "text", "auto"] = "auto"
    otlp_endpoint: str | None = None
    made_up_key: str | None = field(default=None, repr=False)
    """The plain key of `local_credentials`; never read from the environment."""

    @property
    def local(self) -> bool:
        return self.environment == "local"

    @property
    def agent_region(self) -> str:
        """The region the runtime lives in: its ARN says so, whatever `AWS_REGION` is."""
        return self.agent_runtime_arn.split(":")[3] if self.agent_runtime_arn else self.aws_region

    @property
    def has_credentials(self) -> bool:
        return bool(self.jwt_secrets or self.jwt_jwks_url or self.api_keys)

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Settings:
        """Read the variables; raises `SettingsError` for the first that cannot be used.

        An empty variable counts as unset, since that is what templates make of a missing value.
        """
        read = _Reader(environ)
        environment = read("ENVIRONMENT", _name, "local")
        local = environment == "local"
        blocking, streaming = read("AGENT_TIMEOUT", _both_timeouts, (900.0, 3600.0))
        settings = cls(
            host=read("HOST", _host, "127.0.0.1"),
            port=read("PORT", _whole(0, 65535), DEFAULT_PORT),
            environment=environment,
            aws_region=read(
                "AWS_REGION", _matching(r"[a-z]{2}(-[a-z]+)+-\d", "us-west-2"), "us-west-2"
            ),
            agent_runtime_arn=read("AGENT_RUNTIME_ARN", _runtime_arn, None),
            agent_qualifier=read(
                "AGENT_QUALIFIER", _matching(r"[a-zA-Z][a-zA-Z0-9_]{0,47}", "DEFAULT"), "DEFAULT"
            ),
            agent_url=read("AGENT_URL", _agent_url, None),
            agent_payload=read("AGENT_PAYLOAD", _payload, json.loads(DEFAULT_PAYLOAD)),
            agent_cancel=read("AGENT_CANCEL", _one_of("close", "stop-session"), "close"),
            agent_idle_timeout_seconds=read("AGENT_IDLE_TIMEOUT", _seconds(0.1, 86400), 120.0),
            agent_blocking_timeout_seconds=blocking,
            agent_streaming_timeout_seconds=streaming,
            jwt_secrets=read("JWT_SECRET", _secrets, ()),
            jwt_jwks_url=read("JWT_JWKS_URL", _http_url(https_only=not local), None),
            jwt_issuer=read("JWT_ISSUER", _visible, None),
            jwt_audience=read("JWT_AUDIENCE", _visible, None),
            api_keys=read("API_KEYS", _api_keys(plain=local), ()),
            rate_limit_requests=read("RATE_LIMIT_REQUESTS", _whole(1, 10_000_000), 100),
            rate_limit_window_seconds=read("RATE_LIMIT_WINDOW", _whole(1, 86400), 60),
            max_streams_per_user=read("MAX_STREAMS_PER_USER", _whole(1, 100_000), 10),
            cors_origins=read("CORS_ORIGINS", _origins, ()),
            trusted_proxies=read("TRUSTED_PROXIES", _networks, ()),
            allowed_hosts=read("ALLOWED_HOSTS", _hosts, ()),
            metrics_allow=read("METRICS_ALLOW", _networks, cls().metrics_allow),
            service_name=read("SERVICE_NAME", _name, "agentcore-bff"),
            debug=read("DEBUG", _boolean, False),
            redis_url=read("REDIS_URL", _redis_url, None, secret=True),
            history=read("HISTORY", _history, SqliteHistory("data/bff.db")),
            run_retention_seconds=read("RUN_RETENTION", _seconds(1, 604_800), 900.0),
            drain_timeout_seconds=read("DRAIN_TIMEOUT", _seconds(0, 3600), 100.0),
            playground=read("PLAYGROUND", _boolean, local),
            metrics=read("METRICS", _one_of("prometheus", "emf"), "prometheus"),
            log_level=read("LOG_LEVEL", _log_level, "INFO"),
            log_format=read("LOG_FORMAT", _one_of("json", "text"), "auto"),
            otlp_endpoint=read("OTEL_EXPORTER_OTLP_ENDPOINT", _http_url(), None),
        )
        settings._refuse_combinations(environ)
        return settings

    def _refuse_combinations(self, environ: Mapping[str, str]) -> None:
        if self.agent_runtime_arn and self.agent_url:
            raise SettingsError(
                "AGENT_URL", "a value beside AGENT_RUNTIME_ARN", "one of the two, not both"
            )
        if self.local:
            return
        here = f"nothing in ENVIRONMENT={self.environment}"
        if not (self.agent_runtime_arn or self.agent_url):
            raise SettingsError(
                "AGENT_RUNTIME_ARN", here, "the ARN of an AgentCore runtime (or set AGENT_URL)"
            )
        if not self.has_credentials:
            raise SettingsError(
                "JWT_SECRET", here, "a secret of 32 bytes (or set JWT_JWKS_URL or API_KEYS)"
            )
        if not environ.get("HISTORY"):
            takes = "sqlite:///PATH, dynamodb://TABLE or agentcore://MEMORY_ID"
            raise SettingsError("HISTORY", here, takes)
        if self.debug:
            raise SettingsError("DEBUG", "true", "false outside ENVIRONMENT=local")


class _Refused(ValueError):
    """What a variable takes; the reader adds its name and what it got."""


class _Reader:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __call__(
        self, variable: str, parse: Callable[[str], Any], default: T, *, secret: bool = False
    ) -> Any:
        text = self._environ.get(variable, "").strip()
        if not text:
            return default
        try:
            return parse(text)
        except _Refused as refusal:
            hidden = secret or variable in _SECRETS
            got = f"{len(text.encode())} bytes" if hidden else _shown(text)
            raise SettingsError(variable, got, str(refusal)) from None


_SECRETS = frozenset({"JWT_SECRET", "API_KEYS", "REDIS_URL"})


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else text[:100] + "…")


def _split(text: str) -> Iterator[str]:
    return (part for part in (piece.strip() for piece in text.split(",")) if part)


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise _Refused(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise _Refused(f"seconds from {low:g} to {high:g}")
        return value

    return parse


def _both_timeouts(text: str) -> tuple[float, float]:
    value = _seconds(0.1, 86400)(text)
    return value, value


def _boolean(text: str) -> bool:
    match text.lower():
        case "true" | "1" | "yes" | "on":
            return True
        case "false" | "0" | "no" | "off":
            return False
        case _:
            raise _Refused("true or false")


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise _Refused(" or ".join(choices))
        return text

    return parse


def _log_level(text: str) -> str:
    return _one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")(text.upper())


def _matching(pattern: str, example: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise _Refused(f"something like {example}")
        return text

    return parse


def _name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text):
        raise _Refused("1 to 64 letters, digits, '.', '_' or '-', a letter or digit first")
    return text


def _host(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})", text) or re.fullmatch(
            r"[0-9.]+", text
        ):
            raise _Refused("an IP address or a host name to listen on") from None
    return text


def _visible(text: str) -> str:
    if not text.isprintable() or " " in text or len(text) > 2048:
        raise _Refused("text without spaces")
    return text


def _http_url(*, https_only: bool = False) -> Callable[[str], str]:
    takes = "an https:// address" + ("" if https_only else " or http:// address")

    def parse(text: str) -> str:
        parts = _url(text, takes)
        if parts.scheme not in (("https",) if https_only else ("http", "https")):
            raise _Refused(takes)
        if not parts.hostname or parts.username or parts.password or parts.fragment:
            raise _Refused(takes + " without user, password or fragment")
        return text

    return parse


def _url(text: str, takes: str) -> Any:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise _Refused(takes) from None
    if re.search(r"[\s\x00-\x1f]", text):
        raise _Refused(takes)
    return parts


def _agent_url(text: str) -> str:
    if text == EMBEDDED:
        return text
    try:
        url = _http_url()(text)
    except _Refused:
        takes = "embedded: or the http(s):// address of a container that answers POST /invocations"
        raise _Refused(takes) from None
    if urlsplit(url).query:
        raise _Refused("an address without a query")
    return url.rstrip("/")


def _runtime_arn(text: str) -> str:
    # pattern of agentRuntimeArn in the service's API reference
    if not re.fullmatch(
        r"arn:aws(-[a-z-]+)?:bedrock-agentcore:[a-z0-9-]+:[0-9]{12}:"
        r"runtime/[a-zA-Z][a-zA-Z0-9_]{0,47}-[a-zA-Z0-9]{10}",
        text,
    ):
        raise _Refused(
            "arn:aws:bedrock-agentcore:REGION:ACCOUNT:runtime/NAME-ID (ID has 10 characters)"
        )
    return text


def _payload(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise _Refused("a JSON object")
    if "$message" not in json.dumps(value):
        raise _Refused("a JSON object with the string $message somewhere in it")
    return value


def _secrets(text: str) -> tuple[str, ...]:
    secrets = tuple(_split(text))
    if not secrets or any(len(secret.encode()) < 32 for secret in secrets):
        raise _Refused("secrets of at least 32 bytes each, comma-separated, the first one signs")
    return secrets


def _api_keys(*, plain: bool) -> Callable[[str], tuple[ApiKey, ...]]:
    takes = "name:sha256-hex, comma-separated" + (
        " (or name:plain-key)" if plain else "; `python -m bff key NAME` makes one"
    )

    def parse(text: str) -> tuple[ApiKey, ...]:
        keys = []
        for entry in _split(text):
            name, colon, value = entry.partition(":")
            if not colon or not value or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
                raise _Refused(takes)
            if re.fullmatch(r"[0-9a-fA-F]{64}", value):
                digest = value.lower()
            elif plain:
                digest = hashlib.sha256(value.encode()).hexdigest()
            else:
                raise _Refused(takes)
            keys.append(ApiKey(name, digest))
        names = [key.name for key in keys]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise _Refused(f"each name once, and {twice!r} is there twice")
        if len({key.digest for key in keys}) < len(keys):
            raise _Refused("each key once, and two names have the same key")
        return tuple(keys)

    return parse


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(_split(text))
    for origin in origins:
        if origin == "*":
            raise _Refused("exact origins; * cannot go together with credentials")
        if not re.fullmatch(
            r"https?://(\[[0-9a-f:]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:[0-9]{1,5})?", origin
        ):
            raise _Refused(
                "exact origins such as https://app.example.com, comma-separated, lower case, "
                "no path and no slash at the end"
            )
    return origins


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part) for part in _split(text))
    except ValueError:
        raise _Refused("networks such as 10.0.0.0/16, comma-separated") from None


def _hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(part.lower() for part in _split(text))
    for host in hosts:
        if not re.fullmatch(r"(\[[0-9a-f:]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?)(:[0-9]{1,5})?", host):
            raise _Refused("host names such as chat.example.com, comma-separated")
    return hosts


def _redis_url(text: str) -> str:
    takes = "redis://HOST:PORT, rediss://…, redis+cluster://… or rediss+cluster://…"
    parts = _url(text, takes)
    if parts.scheme not in ("redis", "rediss", "redis+cluster", "rediss+cluster"):
        raise _Refused(takes)
    if not parts.hostname or parts.fragment:
        raise _Refused(takes)
    return text


def _history(text: str) -> HistorySetting:
    takes = "sqlite:///PATH, dynamodb://TABLE or agentcore://MEMORY_ID[?write=false]"
    if text.startswith("sqlite:///"):
        path = unquote(text.removeprefix("sqlite:///"))
        if not path or "\0" in path:
            raise _Refused(takes)
        return SqliteHistory(path)
    parts = _url(text, takes)
    if parts.path or parts.fragment:
        raise _Refused(takes)
    match parts.scheme:
        case "dynamodb" if re.fullmatch(r"[A-Za-z0-9_.-]{3,255}", parts.netloc) and not parts.query:
            return DynamoHistory(parts.netloc)
        case "agentcore" if re.fullmatch(
            r"[a-zA-Z][a-zA-Z0-9_-]{0,99}-[a-zA-Z0-9]{10}", parts.netloc
        ):
            query = parse_qs(parts.query, keep_blank_values=True)
            write = query.pop("write", ["true"])
            if query or write not in (["true"], ["false"]):
                raise _Refused(takes)
            return MemoryHistory(parts.netloc, write == ["true"])
        case _:
            raise _Refused(takes)

"""The only reader of the environment.

`Settings.load` turns variables into one frozen object or refuses with one line that names the
variable, what it got and what it takes. Time limits that the infrastructure must agree with (the
heartbeat, the drain) are defined here once; `stack/` reads them from here. docs/configuration.md
lists every variable.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from bff import agent_settings
from bff import setting_parsers as parsers
from bff.agent_settings import DEFAULT_AGENT, AgentSetting, FilesFor, PayloadSetting
from bff.setting_parsers import (
    EMBEDDED,
    ApiKey,
    BucketFiles,
    DynamoHistory,
    FilesSetting,
    FolderFiles,
    HistorySetting,
    MemoryHistory,
    Network,
    SqliteHistory,
    shown,
)

__all__ = [
    "DEFAULT_AGENT",
    "EMBEDDED",
    "AgentSetting",
    "ApiKey",
    "BucketFiles",
    "DynamoHistory",
    "FilesSetting",
    "FolderFiles",
    "HistorySetting",
    "MemoryHistory",
    "Network",
    "PayloadSetting",
    "Settings",
    "SettingsError",
    "SqliteHistory",
    "shown",
]

T = TypeVar("T")

HEARTBEAT_SECONDS = 7.0
"""Longest silence on a stream; load balancers cut at 60 s, some proxies at 30 s. Two comments are
never further apart than twice as long, however events and silences take turns."""
HEADERS_TIMEOUT_SECONDS = 15.0
"""From the connection, or the last reply on it, to a request's complete headers."""
BODY_TIMEOUT_SECONDS = 10.0
"""A request's whole body may take this long; a large one longer, see `BODY_BYTES_PER_SECOND`."""
BODY_BYTES_PER_SECOND = 256 * 1024
"""After `BODY_TIMEOUT_SECONDS`, the rate at which a large body must arrive at least."""
WRITE_TIMEOUT_SECONDS = 25.0
"""For one write to a client; a slower reader is cut and can resume."""
MAX_BODY_BYTES = 256 * 1024
"""Of a request without a message in it; `MAX_REQUEST_MB` is for those with one."""
MAX_MESSAGE_CHARACTERS = 100_000
IDLE_CONNECTION_SECONDS = 930.0
"""Must exceed the load balancer's idle timeout, or the balancer reuses a connection that is being
closed here and answers 502. That timeout must in turn exceed the longest blocking answer, which
sends nothing until it is complete."""
STOP_GRACE_SECONDS = 4.0
"""From the end of the drain to the exit."""
DEFAULT_PORT = 8000

LOCAL_HISTORY = SqliteHistory("data/bff.db")
LOCAL_FILES = FolderFiles("data/files")
SESSION_HEADERS = ("X-Session-Id", "X-Conversation-ID", "X-OpenWebUI-Chat-Id")
"""Name the conversation for clients whose body cannot."""


class SettingsError(ValueError):
    """A variable that cannot be used; the text is the one line an operator reads."""

    def __init__(self, variable: str, got: str, takes: str) -> None:
        super().__init__(f"{variable}: got {got}, takes {takes}")
        self.variable = variable
        self.got = got
        self.takes = takes


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
    agent_payload: PayloadSetting = "prompt"
    agent_files: FilesFor = "inline"
    named_agents: tuple[AgentSetting, ...] = ()
    agent_user_id: Literal["off", "on", "sub"] = "off"
    agent_auth: Literal["iam", "bearer"] = "iam"
    agent_headers: tuple[str, ...] = ()
    agent_history: Literal["fork", "always", "off"] = "fork"
    session_headers: tuple[str, ...] = SESSION_HEADERS
    agent_cancel: Literal["close", "stop-session"] = "close"
    agent_idle_timeout_seconds: float = 900.0
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
    max_request_bytes: int = 8 * 1024 * 1024
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
    history: HistorySetting = LOCAL_HISTORY
    files: FilesSetting | None = LOCAL_FILES
    max_file_bytes: int = 25 * 1024 * 1024
    files_retention_seconds: float = 30 * 86400.0
    run_retention_seconds: float = 900.0
    drain_timeout_seconds: float = 100.0
    playground: bool = True
    metrics: Literal["prometheus", "emf"] = "prometheus"
    log_level: str = "INFO"
    log_format: Literal["json", "text", "auto"] = "auto"
    otlp_endpoint: str | None = None
    ecs_agent_uri: str | None = None
    """Set by ECS in every task of its."""
    protect_open_runs: bool = True
    workers: int = 1
    """Processes that serve the port."""
    made_up_key: str | None = field(default=None, repr=False)
    """The plain key of `local_credentials`; never read from the environment."""

    @property
    def local(self) -> bool:
        return self.environment == "local"

    agents: tuple[AgentSetting, ...] = field(init=False, compare=False, repr=False)
    """All agents; the first is the default."""

    def __post_init__(self) -> None:
        agents = self.named_agents or (
            AgentSetting(
                name=DEFAULT_AGENT,
                arn=self.agent_runtime_arn,
                url=self.agent_url,
                qualifier=self.agent_qualifier,
                payload=self.agent_payload,
                cancel=self.agent_cancel,
                files=self.agent_files,
            ),
        )
        object.__setattr__(self, "agents", agents)

    @property
    def idle_connection_seconds(self) -> float:
        """For a kept connection; longer where blocking answers may take longer than usual."""
        return max(IDLE_CONNECTION_SECONDS, self.agent_blocking_timeout_seconds + 30)

    @property
    def has_credentials(self) -> bool:
        return bool(self.jwt_secrets or self.jwt_jwks_url or self.api_keys)

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Settings:
        """Read the variables; raises `SettingsError` for the first that cannot be used.

        An empty variable counts as unset, since that is what templates make of a missing value.
        """
        read = _Reader(environ)
        environment = read("ENVIRONMENT", parsers.name, "local")
        local = environment == "local"
        arn = read("AGENT_RUNTIME_ARN", parsers.runtime_arn, None)
        agents = read("AGENTS", agent_settings.agents, ())
        debug = read("DEBUG", parsers.boolean, False)
        blocking, streaming = read("AGENT_TIMEOUT", parsers.both_timeouts, (900.0, 3600.0))
        settings = cls(
            host=read("HOST", parsers.host, "127.0.0.1"),
            port=read("PORT", parsers.whole(0, 65535), DEFAULT_PORT),
            environment=environment,
            aws_region=read("AWS_REGION", parsers.region, "us-west-2"),
            agent_runtime_arn=arn,
            agent_qualifier=read("AGENT_QUALIFIER", parsers.qualifier, "DEFAULT"),
            agent_url=read(
                "AGENT_URL", parsers.agent_url, EMBEDDED if local and not (arn or agents) else None
            ),
            agent_payload=read("AGENT_PAYLOAD", agent_settings.payload, "prompt"),
            agent_cancel=read("AGENT_CANCEL", agent_settings.cancel, "close"),
            agent_files=read("AGENT_FILES", agent_settings.files_for, "inline"),
            named_agents=agents,
            agent_user_id=read("AGENT_USER_ID", parsers.one_of("off", "on", "sub"), "off"),
            agent_auth=read("AGENT_AUTH", parsers.one_of("iam", "bearer"), "iam"),
            agent_headers=read("AGENT_HEADERS", agent_settings.passed_headers, ()),
            agent_history=read("AGENT_HISTORY", parsers.one_of("fork", "always", "off"), "fork"),
            session_headers=read(
                "SESSION_HEADERS", agent_settings.session_headers, SESSION_HEADERS
            ),
            agent_idle_timeout_seconds=read("AGENT_IDLE_TIMEOUT", parsers.timeout, 900.0),
            agent_blocking_timeout_seconds=blocking,
            agent_streaming_timeout_seconds=streaming,
            jwt_secrets=read("JWT_SECRET", parsers.secrets, ()),
            jwt_jwks_url=read("JWT_JWKS_URL", parsers.http_url(https_only=not local), None),
            jwt_issuer=read("JWT_ISSUER", parsers.visible, None),
            jwt_audience=read("JWT_AUDIENCE", parsers.visible, None),
            api_keys=read("API_KEYS", parsers.api_keys(plain=local), ()),
            rate_limit_requests=read("RATE_LIMIT_REQUESTS", parsers.whole(1, 10_000_000), 100),
            rate_limit_window_seconds=read("RATE_LIMIT_WINDOW", parsers.whole(1, 86400), 60),
            max_streams_per_user=read("MAX_STREAMS_PER_USER", parsers.whole(1, 100_000), 10),
            max_request_bytes=read("MAX_REQUEST_MB", parsers.whole(1, 64), 8) * 1024 * 1024,
            cors_origins=read("CORS_ORIGINS", parsers.origins, ()),
            trusted_proxies=read("TRUSTED_PROXIES", parsers.networks, ()),
            allowed_hosts=read("ALLOWED_HOSTS", parsers.hosts, ()),
            metrics_allow=read("METRICS_ALLOW", parsers.networks, cls().metrics_allow),
            service_name=read("SERVICE_NAME", parsers.name, "agentcore-bff"),
            debug=debug,
            redis_url=read("REDIS_URL", parsers.redis_url, None),
            history=read("HISTORY", parsers.history, LOCAL_HISTORY),
            files=read("FILES", parsers.files, LOCAL_FILES if local else None),
            max_file_bytes=read("FILES_MAX_MB", parsers.whole(1, 5000), 25) * 1024 * 1024,
            files_retention_seconds=read(
                "FILES_RETENTION", parsers.duration(1, 3650 * 86400), 30 * 86400.0
            ),
            run_retention_seconds=read("RUN_RETENTION", parsers.seconds(1, 604_800), 900.0),
            drain_timeout_seconds=read("DRAIN_TIMEOUT", parsers.seconds(0, 3600), 100.0),
            playground=read("PLAYGROUND", parsers.boolean, local),
            metrics=read("METRICS", parsers.one_of("prometheus", "emf"), "prometheus"),
            log_level="DEBUG" if debug else read("LOG_LEVEL", parsers.log_level, "INFO"),
            log_format=read("LOG_FORMAT", parsers.one_of("json", "text"), "auto"),
            otlp_endpoint=read("OTEL_EXPORTER_OTLP_ENDPOINT", parsers.http_url(), None),
            ecs_agent_uri=read("ECS_AGENT_URI", parsers.http_url(), None),
            protect_open_runs=read("PROTECT_OPEN_RUNS", parsers.boolean, True),
            workers=read("WORKERS", parsers.workers, 1),
        )
        settings._refuse_combinations(environ)
        return settings

    @classmethod
    def variables(cls) -> frozenset[str]:
        """The names of all variables that `load` reads."""
        asked: set[str] = set()

        class Asked(dict[str, str]):
            def get(self, key: str, default: Any = None) -> Any:
                asked.add(key)
                return super().get(key, default)

        cls.load(Asked())
        return frozenset(asked)

    def _refuse_combinations(self, environ: Mapping[str, str]) -> None:
        if self.named_agents:
            for variable in _ONE_AGENT:
                if environ.get(variable, "").strip():
                    raise SettingsError(variable, "a value beside AGENTS", "its place in AGENTS")
        if self.agent_runtime_arn and self.agent_url:
            raise SettingsError(
                "AGENT_URL", "a value beside AGENT_RUNTIME_ARN", "one of the two, not both"
            )
        if self.agent_auth == "bearer" and any(a.cancel == "stop-session" for a in self.agents):
            variable, name = ("AGENTS", "cancel ") if self.named_agents else ("AGENT_CANCEL", "")
            takes = f"{name}close: a session is stopped with the caller's token, which is not kept"
            raise SettingsError(variable, f"{name}'stop-session' with AGENT_AUTH=bearer", takes)
        addressed = [agent.files for agent in self.agents if agent.files != "inline"]
        if addressed and not isinstance(self.files, BucketFiles):
            variable, name = ("AGENTS", "files ") if self.named_agents else ("AGENT_FILES", "")
            takes = f"{name}inline, or FILES=s3://BUCKET/PREFIX beside it"
            raise SettingsError(variable, f"{name}{addressed[0]!r}", takes)
        self._refuse_workers()
        if self.local:
            return
        here = f"nothing in ENVIRONMENT={self.environment}"
        if not (self.agent_runtime_arn or self.agent_url or self.named_agents):
            raise SettingsError(
                "AGENT_RUNTIME_ARN",
                here,
                "the ARN of an AgentCore runtime (or set AGENT_URL or AGENTS)",
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

    def _refuse_workers(self) -> None:
        """Several processes only where all promises hold across them."""
        if self.workers == 1:
            return
        got = f"{self.workers} processes"
        if not hasattr(os, "fork"):
            raise SettingsError("WORKERS", got, "1 on this system, which cannot fork")
        if self.redis_url is None:
            takes = "1, or REDIS_URL: each process would have runs and limits of its own"
            raise SettingsError("WORKERS", got, takes)
        if self.metrics == "prometheus":
            takes = "1, or METRICS=emf: each scrape would be answered by another process"
            raise SettingsError("WORKERS", got, takes)
        if self.ecs_agent_uri and self.protect_open_runs:
            takes = "1, or PROTECT_OPEN_RUNS=false: one process would take back what another asks"
            raise SettingsError("WORKERS", got, takes)


@contextmanager
def needing(variable: str, extra: str) -> Iterator[None]:
    """Around an import of what only this setting needs: `SettingsError` if it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        got = f"a value that needs the package {error.name}"
        raise SettingsError(variable, got, f"`make install` first (the extra {extra!r})") from error


class _Reader:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __call__(self, variable: str, parse: Callable[[str], Any], default: T) -> Any:
        text = self._environ.get(variable, "").strip()
        if not text:
            return default
        try:
            text.encode()
        except UnicodeEncodeError:
            raise SettingsError(variable, "bytes that are no UTF-8", "text in UTF-8") from None
        try:
            return parse(text)
        except parsers.Refused as refusal:
            got = f"{len(text.encode())} bytes" if variable in SECRETS else shown(text)
            raise SettingsError(variable, got, str(refusal)) from None


SECRETS = frozenset({"JWT_SECRET", "API_KEYS", "REDIS_URL"})
"""Variables whose values are shown nowhere."""
_ONE_AGENT = (
    *("AGENT_RUNTIME_ARN", "AGENT_URL", "AGENT_QUALIFIER", "AGENT_PAYLOAD"),
    *("AGENT_CANCEL", "AGENT_FILES"),
)
"""What `AGENTS` says of each agent by itself."""

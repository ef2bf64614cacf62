from __future__ import annotations

import importlib
import os

import pytest

from bff.settings import (
    EMBEDDED,
    BucketFiles,
    FolderFiles,
    MemoryHistory,
    Settings,
    SettingsError,
    SqliteHistory,
    needing,
)

ARN = "arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/my_agent-abcdefghij"
SECRET = "s" * 32
SEVERAL = {"WORKERS": "2", "REDIS_URL": "redis://cache", "METRICS": "emf"}
PRODUCTION = {
    "ENVIRONMENT": "prod",
    "AGENT_RUNTIME_ARN": ARN,
    "JWT_SECRET": SECRET,
    "HISTORY": "dynamodb://conversations",
}


def test_nothing_set__is_a_local_service_with_the_embedded_agent() -> None:
    settings = Settings.load({})

    assert settings.local
    assert settings.agent_url == EMBEDDED
    assert settings.history == SqliteHistory("data/bff.db")
    assert settings.playground
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)


def test_empty_variables__count_as_unset() -> None:
    assert Settings.load({"PORT": "", "AGENT_URL": " "}) == Settings.load({})


def test_production__takes_what_is_complete() -> None:
    settings = Settings.load(PRODUCTION)

    assert not settings.playground


def test_one_agent_timeout__sets_both() -> None:
    settings = Settings.load({"AGENT_TIMEOUT": "30"})

    assert settings.agent_blocking_timeout_seconds == 30
    assert settings.agent_streaming_timeout_seconds == 30


def test_rotation__keeps_the_order_of_the_secrets() -> None:
    settings = Settings.load({"JWT_SECRET": f"{'n' * 32},{'o' * 32}"})

    assert settings.jwt_secrets == ("n" * 32, "o" * 32)


def test_memory_history__can_be_read_only() -> None:
    settings = Settings.load({"HISTORY": "agentcore://chat-abcdefghij?write=false"})

    assert settings.history == MemoryHistory("chat-abcdefghij", write=False)


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("file:///data/files", FolderFiles("data/files")),
        ("file:////var/lib/bff%20files", FolderFiles("/var/lib/bff files")),
        ("s3://my-bucket", BucketFiles("my-bucket")),
        ("s3://my-bucket/", BucketFiles("my-bucket")),
        ("s3://my.bucket/chat/dev/", BucketFiles("my.bucket", "chat/dev/")),
    ],
)
def test_files__are_kept_in_a_folder_or_a_bucket(text: str, files: object) -> None:
    assert Settings.load({"FILES": text}).files == files


def test_files__are_kept_by_default_in_local_only() -> None:
    assert Settings.load({}).files == FolderFiles("data/files")
    assert Settings.load(PRODUCTION).files is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("1", 1), ("3600", 3600), ("1.5", 1.5), ("90s", 90), ("45m", 2700), ("12h", 43_200)),
        *(("30d", 2_592_000), ("", 2_592_000)),
    ],
)
def test_a_duration__is_seconds_or_has_a_unit(text: str, seconds: float) -> None:
    assert Settings.load({"FILES_RETENTION": text}).files_retention_seconds == seconds


def test_repr__holds_no_secret() -> None:
    text = repr(
        Settings.load(
            {
                "JWT_SECRET": "canary-secret-canary-secret-canary",
                "API_KEYS": "app:canary-key",
                "REDIS_URL": "redis://user:canary-password@cache:6379",
            }
        )
    )

    assert "canary" not in text


REFUSED = [
    ({"PORT": "http"}, "PORT: got 'http', takes a whole number from 0 to 65535"),
    ({"PORT": "65536"}, "PORT: got '65536', takes a whole number"),
    ({"PORT": "٣"}, "PORT: got '٣', takes a whole number"),
    ({"HOST": "not a host"}, "HOST: got 'not a host'"),
    ({"HOST": "1.2.3"}, "HOST: got '1.2.3'"),
    ({"HOST": "a..b"}, "HOST: got 'a..b'"),
    ({"HOST": f"{'a' * 64}.example"}, "HOST"),
    ({"ENVIRONMENT": "a b"}, "ENVIRONMENT: got 'a b'"),
    ({"AWS_REGION": "Oregon"}, "AWS_REGION: got 'Oregon', takes something like us-west-2"),
    ({"AGENT_RUNTIME_ARN": "my-agent"}, "AGENT_RUNTIME_ARN: got 'my-agent', takes arn:aws:"),
    ({"AGENT_RUNTIME_ARN": ARN, "AGENT_URL": EMBEDDED}, "one of the two, not both"),
    ({"AGENT_QUALIFIER": "a-b"}, "AGENT_QUALIFIER: got 'a-b'"),
    ({"AGENT_URL": "localhost:8080"}, "AGENT_URL: got 'localhost:8080', takes embedded: or"),
    ({"AGENT_URL": "http://u:p@host"}, "AGENT_URL"),
    ({"AGENT_URL": "http://host:99999"}, "AGENT_URL"),
    ({"AGENT_URL": "http://host:0"}, "AGENT_URL"),
    ({"AGENT_URL": "http://a..b"}, "AGENT_URL"),
    ({"AGENT_URL": "http://1.2.3.4.5"}, "AGENT_URL"),
    ({"AGENT_URL": "http://host\\@other"}, "AGENT_URL"),
    ({"AGENT_PAYLOAD": "[]"}, "AGENT_PAYLOAD: got '[]', takes prompt, strands,"),
    (
        {"AGENT_PAYLOAD": '{"p":"$message","in":[{"id":"$sesion_id"}]}'},
        "takes placeholders such as $message and $session_id, and $sesion_id is none",
    ),
    ({"AGENT_PAYLOAD": "{}"}, "takes a JSON object with $message, $content or $messages"),
    ({"AGENT_CANCEL": "kill"}, "AGENT_CANCEL: got 'kill', takes close or stop-session"),
    ({"AGENT_TIMEOUT": "0"}, "AGENT_TIMEOUT: got '0', takes seconds from 0.1 to 86400"),
    ({"AGENT_IDLE_TIMEOUT": "nan"}, "AGENT_IDLE_TIMEOUT: got 'nan'"),
    ({"AGENT_IDLE_TIMEOUT": "٣"}, "AGENT_IDLE_TIMEOUT: got '٣'"),
    ({"JWT_SECRET": "short"}, "JWT_SECRET: got 5 bytes, takes secrets of at least 32 bytes"),
    ({"JWT_SECRET": f"{SECRET},short"}, "JWT_SECRET: got 38 bytes"),
    ({"JWT_JWKS_URL": "file:///etc/passwd"}, "JWT_JWKS_URL: got 'file:///etc/passwd'"),
    ({"API_KEYS": "nameonly"}, "API_KEYS: got 8 bytes, takes name:sha256-hex"),
    ({"API_KEYS": "a:x,a:y"}, "each name once, and 'a' is there twice"),
    ({"API_KEYS": "a:x,b:x"}, "each key once"),
    ({"RATE_LIMIT_REQUESTS": "0"}, "RATE_LIMIT_REQUESTS: got '0'"),
    ({"RATE_LIMIT_WINDOW": "1m"}, "RATE_LIMIT_WINDOW: got '1m'"),
    ({"MAX_STREAMS_PER_USER": "-1"}, "MAX_STREAMS_PER_USER: got '-1'"),
    ({"CORS_ORIGINS": "*"}, "CORS_ORIGINS: got '*', takes exact origins"),
    ({"CORS_ORIGINS": "https://a.example/"}, "no slash at the end"),
    ({"CORS_ORIGINS": "null"}, "CORS_ORIGINS: got 'null'"),
    ({"TRUSTED_PROXIES": "10.0.0.1/8"}, "TRUSTED_PROXIES: got '10.0.0.1/8', takes networks"),
    ({"ALLOWED_HOSTS": "https://a"}, "ALLOWED_HOSTS: got 'https://a', takes host names"),
    ({"METRICS_ALLOW": "everyone"}, "METRICS_ALLOW: got 'everyone'"),
    ({"DEBUG": "maybe"}, "DEBUG: got 'maybe', takes true or false"),
    ({"CORS_ORIGINS": "https://a.example:443"}, "as browsers send them, https://a.example for one"),
    ({"REDIS_URL": "http://cache"}, "REDIS_URL: got 12 bytes, takes redis://"),
    ({"REDIS_URL": "redis://cache?ssl_ca_certs=/ca.pem"}, "behind rediss:// or nothing"),
    ({"REDIS_URL": "redis+cluster://cache/3"}, "a cluster has no database but 0"),
    ({"REDIS_URL": "redis://a..b"}, "REDIS_URL: got 12 bytes"),
    ({"HISTORY": "postgres://x"}, "HISTORY: got 'postgres://x', takes sqlite:///PATH"),
    ({"HISTORY": "agentcore://chat-abcdefghij?write=no"}, "HISTORY"),
    ({"FILES": "data/files"}, "FILES: got 'data/files', takes file:///DIR or s3://BUCKET/PREFIX"),
    ({"FILES": "file:///"}, "FILES: got 'file:///'"),
    ({"FILES": "s3://Bucket"}, "the bucket's name as S3 has it"),
    ({"FILES": "s3://my-bucket/a b"}, "FILES"),
    ({"FILES": "s3://my-bucket/a//b"}, "FILES"),
    ({"FILES": "s3://my-bucket/a?b=c"}, "FILES"),
    ({"FILES": "gs://my-bucket"}, "FILES: got 'gs://my-bucket'"),
    ({"FILES_MAX_MB": "0"}, "FILES_MAX_MB: got '0', takes a whole number from 1 to 5000"),
    (
        {"FILES_RETENTION": "1w"},
        "a number with its unit such as 45m, 12h or 30d, 1 s to 3650 d",
    ),
    ({"FILES_RETENTION": "0"}, "FILES_RETENTION: got '0'"),
    ({"FILES_RETENTION": "9999d"}, "FILES_RETENTION: got '9999d'"),
    ({"AGENT_FILES": "url"}, "AGENT_FILES: got 'url', takes inline, or FILES=s3://BUCKET/PREFIX"),
    ({"AGENTS": '{"a":{"url":"embedded:","files":"s3"}}'}, "AGENTS: got files 's3', takes files"),
    ({"RUN_RETENTION": "forever"}, "RUN_RETENTION: got 'forever', takes seconds"),
    ({"DRAIN_TIMEOUT": "-1"}, "DRAIN_TIMEOUT: got '-1'"),
    ({"METRICS": "statsd"}, "METRICS: got 'statsd', takes prometheus or emf"),
    ({"WORKERS": "0"}, "WORKERS: got '0', takes auto, or a whole number from 1 to 64"),
    ({"WORKERS": "2"}, "WORKERS: got 2 processes, takes 1, or REDIS_URL"),
    ({**SEVERAL, "METRICS": ""}, "WORKERS: got 2 processes, takes 1, or METRICS=emf"),
    ({**SEVERAL, "ECS_AGENT_URI": "http://169.254.170.2/api"}, "or PROTECT_OPEN_RUNS=false"),
    ({"LOG_LEVEL": "loud"}, "LOG_LEVEL: got 'loud', takes DEBUG or INFO"),
    ({"LOG_FORMAT": "xml"}, "LOG_FORMAT: got 'xml', takes json or text"),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector"}, "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ({"ENVIRONMENT": "prod"}, "AGENT_RUNTIME_ARN: got nothing in ENVIRONMENT=prod"),
    ({**PRODUCTION, "JWT_SECRET": ""}, "JWT_SECRET: got nothing in ENVIRONMENT=prod"),
    ({**PRODUCTION, "HISTORY": ""}, "HISTORY: got nothing in ENVIRONMENT=prod"),
    ({**PRODUCTION, "DEBUG": "true"}, "DEBUG: got true, takes false outside"),
    ({**PRODUCTION, "API_KEYS": "app:plain"}, "`python -m bff key NAME` makes one"),
    ({**PRODUCTION, "JWT_JWKS_URL": "http://idp/keys"}, "takes an https:// address"),
]


@pytest.mark.parametrize(("environ", "line"), REFUSED, ids=lambda value: str(value)[:60])
def test_a_wrong_setting__is_refused_in_one_line(environ: dict[str, str], line: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.load(environ)

    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("AGENT_URL", "https://user:canary@agent"),
        ("AGENT_URL", "https://user:can/canary@agent"),
        ("AGENT_URL", "https://agent/?key=canary&more=canary"),
        ("AGENT_URL", "https://" + "u" * 90 + ":canary@agent"),
        ("AGENTS", '{"a": {"url": "https://user:canary@agent"}}'),
        ("JWT_JWKS_URL", "https://user:canary@idp"),
        ("HISTORY", "postgres://user:canary@host/db"),
        ("HISTORY", "dynamodb://table?secret=canary"),
        ("FILES", "s3://canary:canary@bucket/a"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://canary@collector"),
    ],
)
def test_a_secret_in_an_address__is_not_in_the_line_that_refuses_it(
    variable: str, text: str
) -> None:
    with pytest.raises(SettingsError, match=variable) as refused:
        Settings.load({variable: text})

    assert "canary" not in str(refused.value)


def test_what_is_no_utf_8__is_refused_in_every_variable() -> None:
    for variable in Settings.variables():
        with pytest.raises(SettingsError, match=f"{variable}: got bytes that are no UTF-8"):
            Settings.load({variable: os.fsdecode(b"a:\xff")})


def test_a_setting_whose_packages_are_missing__says_how_to_get_them() -> None:
    line = r"REDIS_URL: got a value that needs the package no_such_package, takes `make install`"
    with pytest.raises(SettingsError, match=line), needing("REDIS_URL", "shared"):
        importlib.import_module("no_such_package")


def test_a_redis_url__may_name_its_authority_and_nothing_else() -> None:
    url = "rediss://cache:6379/0?ssl_ca_certs=/etc/ca.pem"

    assert Settings.load({"REDIS_URL": url}).redis_url == url
    with pytest.raises(SettingsError, match="REDIS_URL"):
        Settings.load({"REDIS_URL": "redis://cache:6379?retry=1"})

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bff.agent_settings import AgentSetting
from bff.settings import Settings, SettingsError

ROOT = Path(__file__).parents[1]
ARN = "arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/support-abcdefghij"
TWO = {
    "support": {"arn": ARN, "qualifier": "live", "cancel": "stop-session"},
    "coder": {"url": "http://127.0.0.1:8081/", "payload": "strands", "description": "codes"},
}


def test_one_agent__has_the_default_name() -> None:
    [agent] = Settings.load({"AGENT_URL": "http://agent:8080", "AGENT_PAYLOAD": "agui"}).agents

    assert agent == AgentSetting(name="agent", url="http://agent:8080", payload="agui")


def test_agents__are_read_by_name_in_order() -> None:
    first, second = Settings.load({"AGENTS": json.dumps(TWO)}).agents

    assert first == AgentSetting(name="support", arn=ARN, qualifier="live", cancel="stop-session")
    assert second == AgentSetting(
        name="coder", url="http://127.0.0.1:8081", payload="strands", description="codes"
    )


def test_agents__may_stand_in_a_file(tmp_path: Path) -> None:
    place = tmp_path / "agents.json"
    place.write_text(json.dumps(TWO))

    assert [agent.name for agent in Settings.load({"AGENTS": str(place)}).agents] == [
        "support",
        "coder",
    ]


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"AGENTS": "{}"}, "AGENTS: got '{}', takes a JSON object"),
        ({"AGENTS": "/nowhere"}, "or the path of a file that holds one"),
        ({"AGENTS": '{"a":{"url":"http://x"},"a":{"url":"http://y"}}'}, "'a' is there twice"),
        ({"AGENTS": '{"a b":{"url":"http://x"}}'}, "names like support-agent, and 'a b' is none"),
        ({"AGENTS": '{"a":{}}'}, "takes for 'a' either arn or url"),
        ({"AGENTS": f'{{"a":{{"url":"http://x","arn":"{ARN}"}}}}'}, "for 'a' either arn or url"),
        ({"AGENTS": '{"a":{"url":1}}'}, "for 'a' text as url"),
        ({"AGENTS": '{"a":{"url":"http://x","color":"red"}}'}, "for 'a' an object of arn, cancel"),
        ({"AGENTS": '{"a":{"arn":"x"}}'}, "takes for 'a' arn:aws:bedrock-agentcore:"),
        ({"AGENTS": '{"a":{"url":"http://x","payload":{}}}'}, "for 'a' a JSON object with $mess"),
        ({"AGENTS": '{"a":{"url":"http://x","files":"ftp"}}'}, "for 'a' inline, url or s3"),
        ({"AGENTS": json.dumps(TWO), "AGENT_URL": "http://x"}, "AGENT_URL: got a value beside AG"),
        ({"AGENTS": json.dumps(TWO), "AGENT_PAYLOAD": "agui"}, "AGENT_PAYLOAD: got a value besi"),
        ({"AGENT_HEADERS": "Cookie"}, "and Cookie is none"),
        ({"AGENT_HEADERS": "X-Amzn-Trace-Id"}, "and X-Amzn-Trace-Id is none"),
        ({"AGENT_HEADERS": "a b"}, "AGENT_HEADERS: got 'a b', takes names of headers"),
        ({"AGENT_HEADERS": ",".join(f"X-{n}" for n in range(21))}, "at most 20 names"),
        ({"AGENT_USER_ID": "yes"}, "AGENT_USER_ID: got 'yes', takes off or on or sub"),
        ({"AGENT_AUTH": "basic"}, "AGENT_AUTH: got 'basic', takes iam or bearer"),
        (
            {"AGENT_AUTH": "bearer", "AGENT_CANCEL": "stop-session"},
            "AGENT_CANCEL: got 'stop-session' with AGENT_AUTH=bearer, takes close",
        ),
        (
            {
                "AGENT_AUTH": "bearer",
                "AGENTS": '{"a":{"url":"http://x","cancel":"stop-session"}}',
            },
            "AGENTS: got cancel 'stop-session' with AGENT_AUTH=bearer, takes cancel close",
        ),
        ({"AGENT_HISTORY": "yes"}, "takes fork or always or off"),
        ({"SESSION_HEADERS": "a:b"}, "SESSION_HEADERS: got 'a:b', takes names of headers"),
        ({"SESSION_HEADERS": ","}, "SESSION_HEADERS: got ',', takes names of headers"),
        ({"SESSION_HEADERS": "Authorization"}, "and Authorization does not"),
        ({"SESSION_HEADERS": "X-Chat,x-api-key"}, "and x-api-key does not"),
    ],
)  # fmt: skip
def test_a_wrong_setting__is_refused_in_one_line(variables: dict[str, str], line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(variables)

    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_custom_headers_of_agentcore__may_be_passed() -> None:
    name = "X-Amzn-Bedrock-AgentCore-Runtime-Custom-Tenant"

    assert Settings.load({"AGENT_HEADERS": f"{name}, X-Tenant"}).agent_headers == (name, "X-Tenant")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("AGENT_RUNTIME_ARN", ARN), ("AGENTS", json.dumps({"support": {"arn": ARN}}))],
)
def test_a_runtime_without_what_calls_aws__is_refused_by_the_variable_that_names_it(
    tmp_path: Path, variable: str, value: str
) -> None:
    """As after `make run`, which installs no AWS packages."""
    program = (
        "import sys; sys.modules['aioboto3'] = None; "
        "from bff.__main__ import main; sys.exit(main())"
    )
    start = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PORT": "0", variable: value},
        capture_output=True,
        text=True,
        timeout=120,
    )

    line = f"{variable}: got a value that needs the package aioboto3, takes `make install` first"
    assert (start.returncode, start.stderr.startswith(line)) == (2, True), start.stderr

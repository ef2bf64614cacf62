"""The AWS provider, with all that the stack's configuration says of it.

The program makes its own, so that everything is tagged; what `aws:` keys say (which account, which
roles, which tags) is therefore passed on here, or it would be ignored in silence.
https://www.pulumi.com/registry/packages/aws/installation-configuration/
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws
from pulumi.runtime import config as engine

from bff.setting_parsers import Refused, shown
from stack.config_parsers import tags
from stack.config_reader import Reader

NAMESPACE = "aws:"
TAGS = ("Project", "Environment", "ManagedBy")


def provider_settings(read: Reader) -> dict[str, Any]:
    """Arguments of `aws.Provider` by the keys of `aws:`; refuses a key that is none."""
    takes = set(inspect.signature(aws.ProviderArgs).parameters)
    found: dict[str, Any] = {}
    for full, text in sorted({**engine.CONFIG.get(), **(engine.get_config_env() or {})}.items()):
        if not full.startswith(NAMESPACE) or not text:
            continue
        key = full.removeprefix(NAMESPACE)
        name = re.sub(r"(?<=[a-z0-9])[A-Z]", lambda m: f"_{m[0]}", key).lower()
        if name not in takes:
            read.problems.append(f"{full}: unknown; docs/stack.md says where the keys are listed")
            continue
        value = _value(text)
        if name in ("allowed_account_ids", "forbidden_account_ids"):
            value = _accounts(full, value, read)
        elif name == "default_tags":
            value = _default_tags(full, value, read)
        hidden = engine.is_config_secret(full) and name != "default_tags"  # AWS shows tags
        found[name] = pulumi.Output.secret(value) if hidden else value
    return found


def make_provider(
    name: str, settings: Mapping[str, Any], tags: Mapping[str, str], **more: Any
) -> aws.Provider:
    own = settings.get("default_tags") or {}
    arguments = {**settings, **more}
    arguments["default_tags"] = {**own, "tags": {**tags, **(own.get("tags") or {})}}
    return aws.Provider(name, **arguments)


def _value(text: str) -> Any:
    if text[:1] in ("[", "{") or text in ("true", "false"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _accounts(full: str, value: Any, read: Reader) -> list[str]:
    """Twelve digits each; YAML takes them for numbers and drops the zeros in front."""
    ids = [f"{item:012d}" if isinstance(item, int) else str(item) for item in _list(value)]
    if not ids or not all(re.fullmatch(r"\d{12}", item) for item in ids):
        got = shown(str(value))
        read.problems.append(f"{full}: got {got}, takes a list of account ids of 12 digits")
    return ids


def _default_tags(full: str, value: Any, read: Reader) -> dict[str, Any]:
    """Its tags are judged as the key `tags` is: AWS refuses them half way as it would those."""
    takes = "{tags: {KEY: VALUE}}"
    if not isinstance(value, dict) or not value.keys() <= {"tags"}:
        read.problems.append(f"{full}: got {shown(json.dumps(value))}, takes {takes}")
        return {}
    try:
        return {"tags": tags(json.dumps(value.get("tags") or {}))}
    except Refused as refusal:
        read.problems.append(f"{full}: got {shown(json.dumps(value))}, takes {refusal}")
        return {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

"""Values as they travel between engine and providers, and as plain JSON."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format, struct_pb2

from tests.stack.engine.shapes import UNKNOWN

# https://github.com/pulumi/pulumi/blob/master/sdk/proto/README.md
SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
RESOURCE = "5cf8f73096256a8f31e491e813e4eb8e"
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"


def read(struct: struct_pb2.Struct) -> dict[str, Any]:
    value = plain(json_format.MessageToDict(struct))
    assert isinstance(value, dict)
    return value


def plain(value: Any) -> Any:
    """Secrets and outputs opened, references as ids, whole numbers whole."""
    match value:
        case dict():
            signature = value.get(SIGNATURE)
            if signature in (SECRET, OUTPUT):
                return plain(value["value"]) if "value" in value else UNKNOWN
            if signature == RESOURCE:
                return value.get("id") or value.get("urn")
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def write(value: dict[str, Any], secret: frozenset[str] = frozenset()) -> struct_pb2.Struct:
    marked = {
        key: {SIGNATURE: SECRET, "value": item} if key in secret else item
        for key, item in value.items()
    }
    struct = struct_pb2.Struct()
    json_format.ParseDict(without_none(marked), struct)
    return struct


def without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    return [without_none(item) for item in value] if isinstance(value, list) else value


def has_unknown(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(has_unknown, value.values() if isinstance(value, dict) else value))
    return bool(value == UNKNOWN)


def token_of(urn: str) -> str:
    return urn.split("::")[2].rpartition("$")[2]


def name_of(urn: str) -> str:
    return urn.split("::", 3)[3]

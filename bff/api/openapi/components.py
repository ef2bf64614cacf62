"""From models to JSON Schema, as OpenAPI's components want it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from bff.api.openapi.replies import EVENT_DATA

MODE: JsonSchemaMode = "validation"  # where a field with a default may be left out


def components(*models: type[BaseModel]) -> dict[str, Any]:
    """The models as components: each under its name, and what they consist of."""
    wanted = [(model, MODE) for model in models]
    _, document = models_json_schema(wanted, ref_template="#/components/schemas/{model}")
    return {name: _plain(schema) for name, schema in document["$defs"].items()}


def _plain(schema: Any) -> Any:
    """The schema without titles, which repeat the names, and without defaults: what generates types
    from it takes a field that has one for required."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: _plain(item) for name, item in value.items()}
        if key == "properties"
        else _plain(value)
        for key, value in schema.items()
        if key not in ("title", "default")
    }


def event_schemas() -> dict[str, Any]:
    """What the data of each native event holds, and `ChatEvent`: any of them as SSE has it."""
    found: dict[str, Any] = {}
    on_the_wire = []
    for event, shape in EVENT_DATA.items():
        name = "".join(part.title() for part in event.split("_")) + "Event"
        if issubclass(shape, BaseModel):
            found[name] = {"$ref": f"#/components/schemas/{shape.__name__}"}
        else:
            closed = {"additionalProperties": False, "description": f"`event: {event}`"}
            found[name] = _plain(TypeAdapter(shape).json_schema(mode=MODE)) | closed
        on_the_wire.append(sse_event(name, event={"const": event}))
    found["ChatEvent"] = {
        "description": "An event of a run. `done` or `error` ends it, always and once.",
        "oneOf": on_the_wire,
    }
    return found


def sse_event(*names: str, event: dict[str, Any] | None = None) -> dict[str, Any]:
    """A Server-Sent Event whose data is JSON of one of these components, or the word `[DONE]`.

    Ours have a name and an id as well.
    """
    data = [
        {"const": name}
        if name == "[DONE]"
        else {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": f"#/components/schemas/{name}"},
        }
        for name in names
    ]
    properties: dict[str, Any] = {"data": data[0] if len(data) == 1 else {"anyOf": data}}
    if event:
        number = {"type": "string", "pattern": "^[0-9]+$", "description": "1, 2, 3 … per run."}
        properties |= {"event": event, "id": number}
    return {"type": "object", "properties": properties, "required": list(properties)}

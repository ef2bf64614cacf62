"""Events and artifacts of Griptape (https://docs.griptape.ai), dumped by `to_dict` or `to_json`.

A run streams chunks of text and of a call's input; a task's and the structure's end have its output
once more, as an artifact. An artifact is also what a chunk of `Stream` and a run's output are.
"""

from __future__ import annotations

from bff.agents.dialects.assembly import Assembly, InBandError, Reader
from bff.agents.dialects.attachments import read_block
from bff.agents.dialects.fields import items, word
from bff.agents.dialects.tool_calls import as_text
from bff.agents.dialects.untyped import text_of
from bff.events import JSON


def read_event(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One event of a run."""
    answer.dialects.add("griptape")
    match frame:
        case {"type": "TextChunkEvent", "token": str(text)}:
            answer.text.delta(text, "griptape")
        case {"type": "ActionChunkEvent", "partial_input": str(piece)}:
            place, id = f"griptape {frame.get('index')}", word(frame.get("tag"))
            answer.tools.piece("griptape", place, id, _name(frame), piece)
        case {"type": "FinishPromptEvent"}:
            given, made = frame.get("input_token_count"), frame.get("output_token_count")
            answer.usage.add({"input_tokens": given, "output_tokens": made})
            answer.tools.settle()
            answer.pause()
        case {"type": "StartActionsSubtaskEvent" | "FinishActionsSubtaskEvent"}:
            _read_actions(answer, frame)
        case {"type": "FinishTaskEvent", "task_output": dict(output)} | {
            "type": "FinishStructureRunEvent",
            "output_task_output": dict(output),
        }:
            _read_output(answer, output)
    return True


def _name(action: dict[str, JSON]) -> str | None:
    """A tool's name and what it shall do, as the model is told them."""
    words = [word(action.get("name")), word(action.get("path"))]
    return "_".join(part for part in words if part) or None


def _read_actions(answer: Assembly, frame: dict[str, JSON]) -> None:
    """The calls of a step, and behind them what came of them."""
    for action in items(frame.get("subtask_actions")):
        if isinstance(action, dict) and (name := _name(action)):
            id = word(action.get("tag"))
            answer.tools.whole("griptape", id, name, action.get("input") or {})
            if isinstance(action.get("output"), dict):
                _read_result(answer, id, name, action["output"])
    output = frame.get("task_output")
    calls = answer.tools.open_calls()
    if isinstance(output, dict) and calls:
        found = output.get("value")
        found = found if output.get("type") == "ListArtifact" else [output]
        for call, artifact in zip(calls, items(found), strict=False):
            if isinstance(artifact, dict):
                _read_result(answer, call.id, call.name, artifact)


def _read_result(answer: Assembly, id: str | None, name: str, artifact: dict[str, JSON]) -> None:
    failed = artifact.get("type") == "ErrorArtifact"
    answer.tools.outcome(id, name, as_text(artifact.get("value")), failed=failed)


def _read_output(answer: Assembly, artifact: dict[str, JSON]) -> None:
    if artifact.get("type") == "ErrorArtifact":
        raise InBandError("an output that is an error")
    answer.text.whole(text_of(artifact.get("value")) or "", "griptape output")


def read_artifact(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """An artifact by itself: an output, or a piece of one."""
    if "value" not in frame or "name" not in frame:
        return False
    answer.dialects.add("griptape")
    match frame:
        case {"type": "ErrorArtifact"}:
            raise InBandError("an output that is an error")
        case {"type": "ListArtifact", "value": list(artifacts)}:
            for artifact in artifacts:
                answer.read(artifact)
        case {"type": "ImageArtifact", "value": str(data)}:
            kind = f"image/{frame.get('format', 'png')}"
            read_block(answer, {"type": "image", "data": data, "mimeType": kind})
        case {"type": "JsonArtifact", "value": value}:
            answer.structured = value
        case {"value": value}:
            answer.text.plain(text_of(value) or "", "griptape")
    return True


BY_TYPE: dict[str, Reader] = {
    **dict.fromkeys(
        (
            "TextChunkEvent",
            "ActionChunkEvent",
            "StartPromptEvent",
            "FinishPromptEvent",
            "StartTaskEvent",
            "FinishTaskEvent",
            "StartActionsSubtaskEvent",
            "FinishActionsSubtaskEvent",
            "StartStructureRunEvent",
            "FinishStructureRunEvent",
        ),
        read_event,
    ),
    **dict.fromkeys(
        (
            "TextArtifact",
            "InfoArtifact",
            "ErrorArtifact",
            "ListArtifact",
            "ImageArtifact",
            "JsonArtifact",
        ),
        read_artifact,
    ),
}

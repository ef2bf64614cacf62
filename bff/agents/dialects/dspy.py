"""DSPy's streams: pieces of a signature's fields, what a program is doing, and its prediction.

https://dspy.ai/tutorials/streaming/. A field is named by whoever wrote the signature; the
prediction has all fields once more.
"""

from __future__ import annotations

from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.untyped import thought_of
from bff.events import JSON


def read_piece(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A StreamResponse: of a field that is reasoning by its name, or of the answer."""
    field, piece = frame.get("signature_field_name"), frame.get("chunk")
    if not isinstance(field, str) or not isinstance(piece, str):
        return False
    answer.dialects.add("dspy")
    speech = answer.thinking if thought_of({field: "?"}) else answer.text
    speech.delta(piece, f"field {field}")
    if frame.get("is_last_chunk") is True:
        speech.pause()
    return True


def read_status(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """A StatusMessage, which only its print calls so."""
    if not isinstance(frame.get("message"), str):
        return False
    answer.custom(frame, "status", content=False)
    answer.latest = frame["message"]
    return True


BY_KEY = {"signature_field_name": read_piece}
BY_TYPE = {"StatusMessage": read_status}

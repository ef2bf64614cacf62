"""Events of BeeAI's agents (https://framework.beeai.dev), with a state that grows step by step.

Its objects hold much that JSON cannot: tools and messages come as Python's prints, or not at all.
"""

from __future__ import annotations

from bff.agents.dialects.assembly import Assembly
from bff.agents.dialects.fields import items, word
from bff.agents.dialects.tool_calls import as_text
from bff.agents.dialects.usage import if_counted
from bff.events import JSON


def is_event(frame: dict[str, JSON]) -> bool:
    """Whether this is an event of an agent's run, or what the run came to."""
    match frame.get("state"):
        case {"steps": list(), "iteration": int()}:
            return True
    return False


def read(answer: Assembly, frame: dict[str, JSON]) -> None:
    """One event: the final answer, or the steps so far."""
    answer.dialects.add("beeai")
    state = frame["state"]
    for step in items(state["steps"]):
        if isinstance(step, dict):
            _read_step(answer, step)
    if isinstance(frame.get("delta"), str) and "output_structured" in frame:
        answer.text.delta(frame["delta"], "beeai", "beeai")
        answer.text.whole(word(frame.get("output")) or "", "beeai", "beeai")
    elif isinstance(state.get("result"), dict):
        answer.text.whole(word(state["result"].get("response")) or "", "beeai", "beeai")
    answer.usage.set_total(if_counted(state.get("usage")))


def _read_step(answer: Assembly, step: dict[str, JSON]) -> None:
    """A tool's call with its outcome, which later events tell again; the answer is a call, too."""
    name, id = word(step.get("tool")), word(step.get("id"))
    if name is None or name == "final_answer" or name.startswith("<"):
        return
    answer.tools.whole("beeai", id, name, step.get("input") or {})
    wrong = step.get("error")
    found = as_text(wrong or step.get("output"))
    answer.tools.outcome(id, name, found, failed=bool(wrong))

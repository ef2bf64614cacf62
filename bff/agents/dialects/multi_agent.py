"""Strands' graphs and swarms: several agents, each of which speaks for itself.

https://strandsagents.com/latest/documentation/docs/user-guide/concepts/multi-agent/graph/. Nodes
run side by side and their frames interleave; each frame names its node.
"""

from __future__ import annotations

from bff.agents.dialects import questions, strands
from bff.agents.dialects.assembly import Assembly, InBandError
from bff.events import JSON


def read_graph(answer: Assembly, frame: dict[str, JSON]) -> bool:
    """One event of several agents, each of which speaks for itself; or what all of them found."""
    node = frame.get("node_id")
    node = node if isinstance(node, str) else "node"
    answer.dialects.add("strands graph")
    match frame:
        case {"type": "multiagent_node_stream", "event": event}:
            answer.speak(node, event)
        case {"type": "multiagent_node_stop", "node_result": dict(result)}:
            answer.speak(node, result, lambda value: _read_node(answer, value, "node"))
        case {"type": "multiagent_node_interrupt", "interrupts": list(items)}:
            answer.speak(node, items, lambda value: questions.ask_strands(answer, value))
        case {"type": "multiagent_result", "result": dict(result)}:
            return read_graph(answer, {**result, "type": "multiagent_result"})
        case {"results": dict(results)}:
            for name, result in results.items():
                if isinstance(result, dict):
                    answer.speak(name, result, lambda value: _read_node(answer, value, "graph"))
            if isinstance(frame.get("interrupts"), list):
                questions.ask_strands(answer, frame["interrupts"])
            answer.usage.set_total(frame.get("accumulated_usage"))
            if str(frame.get("status")).lower() == "failed":
                raise InBandError("a graph that failed")
        case {"type": str(kind)} if kind.startswith("multiagent_"):
            answer.custom(frame, content=False)
        case _:
            return False
    return True


def _read_node(answer: Assembly, result: JSON, source: str) -> None:
    match result:
        case {"result": {"type": "multiagent_result" | "GraphResult" | "SwarmResult"} as inner}:
            read_graph(answer, inner)
        case {"result": dict(inner)} if strands.is_result(inner):
            strands.read_result(answer, inner, source)
        case {"result": {"results": dict()} as inner}:
            read_graph(answer, inner)
    if isinstance(result, dict) and isinstance(result.get("interrupts"), list):
        questions.ask_strands(answer, result["interrupts"])
    answer.pause()


BY_TYPE = dict.fromkeys(
    (
        "multiagent_node_start",
        "multiagent_node_stream",
        "multiagent_node_stop",
        "multiagent_node_cancel",
        "multiagent_node_interrupt",
        "multiagent_handoff",
        "multiagent_result",
        "GraphResult",
        "SwarmResult",
        "MultiAgentResult",
    ),
    read_graph,
)

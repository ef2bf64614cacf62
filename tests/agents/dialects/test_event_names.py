"""What the names of hand-written events mean."""

import pytest

from bff.agents.dialects.event_names import role_of

NAMES = {
    "tool_start": "tool_call toolCall TOOL_CALL tool-use on_tool_start "
    "function_call tool_input toolRequest",
    "tool_end": "tool_result toolResult TOOL_END tool-output tool.completed tool_error "
    "function_call_output",
    "tool_piece": "tool_call_delta tool_input_delta",
    "tool": "tool function",
    "thinking": "thinking reasoning thinking_delta agent_thought reasoning-chunk",
    "theirs": "user_message human userInput user_transcript",
    "asks": "interrupt approval_required input_required human_input_requested",
    "redact": "redact redaction message_replace guardrail_replacement",
    "error": "error run_error agentError stream_error fatal_error RunFailed",
    "custom": "step-start status progress tool_status step_error node_failed metadata sources "
    "agent_handoff",
    "start": "node_started message_start",
    "done": "done complete end finished message_end stream.completed",
    "end": "agent_end AGENT_END",
    "silent": "ping heartbeat keep-alive keepAlive start agent_start",
    "text": "LLM_RESPONSE llm_token token text-delta message assistant_message ai answer",
}


@pytest.mark.parametrize(
    ("name", "role"), [(name, role) for role, names in NAMES.items() for name in names.split()]
)
def test_a_name__is_taken_apart_into_its_words(name: str, role: str) -> None:
    assert role_of(name) == role


@pytest.mark.parametrize(
    "name", ["chart", "image", "message_id", "", "?", "x" * 65, "a b c d e f g"]
)
def test_a_name_that_says_nothing__has_no_role(name: str) -> None:
    assert role_of(name) is None

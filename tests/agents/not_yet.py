"""Recorded answers that the decoder does not read as it must, each with what comes out wrong.

One list, kept strictly: what is repaired is taken off, or its test fails for passing.
`python -m tests.agents.show NAME` prints what is wrong in detail.
"""

NOT_YET: dict[str, str] = {
    "crewai/chunks-raw": "arguments as bare strings: nothing tells them from text",
    "javascript/ui-client-tool": "a question of the AI SDK is no question",
    "langgraph/mode-checkpoints": "recorded without a checkpointer: the answer is empty",
    "langgraph/modes-custom-checkpoints": ("recorded without a checkpointer: the answer is empty"),
    "langgraph/parallel-named-text": "recorded without what the two members said",
    "langgraph/approval-two": "an interrupt is one question, however many calls it is about",
    "langgraph/agui-frontend-tool": "the run asks, which knows the client's tools",
    "strands/agui-frontend-tool": "the run asks, which knows the client's tools",
}

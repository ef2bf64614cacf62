"""Recorded answers that the decoder does not read as it must, each with what comes out wrong.

One list, kept strictly: what is repaired is taken off, or its test fails for passing.
`python -m tests.agents.show NAME` prints what is wrong in detail.
"""

NOT_YET: dict[str, str] = {
    "crewai/chunks-raw": "the arguments of a tool are said as text",
    "javascript/ui-client-tool": "a question of the AI SDK is no question",
    "langgraph/mode-checkpoints": "recorded without a checkpointer: the answer is empty",
    "langgraph/modes-custom-checkpoints": (
        "recorded without a checkpointer: the answer is empty"
    ),
    "langgraph/parallel-named-text": "recorded without what the two members said",
    "langgraph/approval-two": "an interrupt is one question, however many calls it is about",
    "langgraph/agui-frontend-tool": "the run asks, which knows the client's tools",
    "reports/delta-and-complete-updates": "contents of Microsoft Agent Framework are not read",
    "reports/a2a-stream": "parts of an A2A message, task or artifact are not read",
    "reports/semantic-kernel": (
        "a text nested in lists or under a key of another case is an empty answer"
    ),
    "reports/twice-encoded-frames": "JSON in a JSON string is shown as text",
    "reports/lambda-error": "the error of a Lambda is no failure",
    "reports/bedrock-agent-chunks": "chunks of Bedrock Agents (base64) are not read",
    "reports/knowledge-base": "retrieved references are no sources",
    "strands/agui-frontend-tool": "the run asks, which knows the client's tools",
}

"""Recorded answers that the decoder does not read as it must, each with what comes out wrong.

One list, kept strictly: what is repaired is taken off, or its test fails for passing.
`python -m tests.agents.show NAME` prints what is wrong in detail.
"""

NOT_YET: dict[str, str] = {
    "claude/messages-raw": "blocks without a type, or raw events: reasoning and tools are lost",
    "claude/messages-dict": "blocks without a type, or raw events: reasoning and tools are lost",
    "claude/partial-raw": "blocks without a type, or raw events: reasoning and tools are lost",
    "claude/partial-dict": "blocks without a type, or raw events: reasoning and tools are lost",
    "claude/partial-events": "blocks without a type, or raw events: reasoning and tools are lost",
    "claude/failing-tool-raw": "blocks without a type: tools are lost",
    "claude/failing-tool-dict": "blocks without a type: tools are lost",
    "claude/subagent-messages": "blocks without a type: tools are lost",
    "claude/subagent-partial": "blocks without a type: tools are lost",
    "claude/return-result-message": "a result or a list of messages as the body is an empty answer",
    "claude/return-messages": "a result or a list of messages as the body is an empty answer",
    "claude/most-turns": "a result that is an error does not fail the run",
    "langgraph/mode-checkpoints": "a mode alone that holds messages deeper: it is lost",
    "langgraph/mode-debug": "a mode alone that holds messages deeper: it is lost",
    "langgraph/modes-custom-tasks": "a mode alone that holds messages deeper: it is lost",
    "langgraph/modes-custom-checkpoints": "a mode alone that holds messages deeper: it is lost",
    "langgraph/modes-custom-debug": "a mode alone that holds messages deeper: it is lost",
    "langgraph/modes-tasks-checkpoints": "a mode alone that holds messages deeper: it is lost",
    "langgraph/modes-tasks-debug": "a mode alone that holds messages deeper: it is lost",
    "langgraph/modes-checkpoints-debug": "a mode alone that holds messages deeper: it is lost",
    "langgraph/yield-dump-json": "JSON of a message in an SSE string is shown as text",
    "langgraph/yield-lc-dumps": "JSON of a message in an SSE string is shown as text",
    "langgraph/yield-json-line": "JSON with a line end in an SSE string is shown as text",
    "langgraph/return-lambda-proxy": "a JSON body of another shape is an empty answer",
    "langgraph/return-named-field": "a JSON body of another shape is an empty answer",
    "langgraph/prints-chunks": "the text in a printed message is certain and is lost",
    "langgraph/prints-repr": "the text in a printed message is certain and is lost",
    "langgraph/picture-updates": "a picture in a message is dropped",
    "langgraph/cited-updates": "citations are dropped",
    "langgraph/picture-values": "a picture in a message is dropped",
    "langgraph/cited-values": "citations are dropped",
    "langgraph/picture-messages": "a picture in a message is dropped",
    "langgraph/picture-return": "a picture in a message is dropped",
    "langgraph/named-human-updates": "an agent that answers under the name of a human is silent",
    "langgraph/tokens-custom": "tokens written with get_stream_writer under an own key are no text",
    "langgraph/parallel-messages-subgraphs": "speakers side by side: texts are mixed",
    "langgraph/parallel-events": "speakers side by side: texts are mixed",
    "langgraph/parallel-pair": "speakers side by side: texts are mixed",
    "langgraph/parallel-pair-updates": "speakers side by side: texts are mixed",
    "langgraph/parallel-named-text": "speakers side by side: texts are mixed",
    "langgraph/asks-updates": "an interrupt is no question",
    "langgraph/asks-values": "an interrupt is no question",
    "langgraph/asks-messages-updates": "an interrupt is no question",
    "langgraph/asks-updates-values": "an interrupt is no question",
    "langgraph/asks-tasks": "an interrupt is no question",
    "langgraph/asks-debug": "an interrupt is no question",
    "langgraph/asks-all": "an interrupt is no question",
    "langgraph/asks-v2-updates": "an interrupt is no question",
    "langgraph/asks-v2-values": "an interrupt is no question",
    "langgraph/asks-updates-subgraphs": "an interrupt is no question",
    "langgraph/asks-return": "an interrupt is no question",
    "langgraph/asks-events": "an interrupt is no question",
    "langgraph/asks-text": "an interrupt is no question",
    "langgraph/asks-twice": "an interrupt is no question",
    "langgraph/asks-inside": "an interrupt is no question",
    "langgraph/asks-inside-subgraphs": "an interrupt is no question",
    "langgraph/approval-approve": "an approval of LangChain is no question",
    "langgraph/approval-approve-resumed": "what was said before the question is said again",
    "langgraph/approval-edit": "an approval of LangChain is no question",
    "langgraph/approval-edit-resumed": "what was said before the question is said again",
    "langgraph/approval-reject": "an approval of LangChain is no question",
    "langgraph/approval-reject-resumed": "what was said before the question is said again",
    "langgraph/approval-updates": "an approval of LangChain is no question",
    "langgraph/approval-values": "an approval of LangChain is no question",
    "langgraph/approval-v2-updates": "an approval of LangChain is no question",
    "langgraph/approval-return": "an approval of LangChain is no question",
    "langgraph/approval-two": "an approval of LangChain is no question",
    "langgraph/agui-default": "custom has no name",
    "langgraph/agui-sse": "custom has no name",
    "langgraph/agui-asks": "an interrupt of the AG-UI adapter is no question",
    "langgraph/agui-asks-outcome": "an interrupt of the AG-UI adapter is no question",
    "langgraph/agui-asks-outcome-only": "an interrupt of the AG-UI adapter is no question",
    "langgraph/agui-approval": "an interrupt of the AG-UI adapter is no question",
    "langgraph/agui-approval-outcome": "an interrupt of the AG-UI adapter is no question",
    "langgraph/agui-frontend-tool": "a tool that the client has to run is no question",
    "openai-agents/responses-plain": (
        "deltas, whole items and arguments are all said as text; reasoning and tools are lost"
    ),
    "openai-agents/responses-data": (
        "deltas, whole items and arguments are all said as text; reasoning and tools are lost"
    ),
    "openai-agents/responses-items": "the output of a tool is said as text",
    "openai-agents/responses-raw": "the text in a printed event is certain and is lost",
    "openai-agents/chat-plain": (
        "deltas, whole items and arguments are all said as text; reasoning and tools are lost"
    ),
    "openai-agents/chat-data": (
        "deltas, whole items and arguments are all said as text; reasoning and tools are lost"
    ),
    "openai-agents/two-tools-plain": (
        "deltas, whole items and arguments are all said as text; reasoning and tools are lost"
    ),
    "openai-agents/failing-tool-plain": (
        "deltas, whole items and arguments are all said as text; reasoning and tools are lost"
    ),
    "openai-agents/two-tools-items": "the output of a tool is said as text",
    "openai-agents/failing-tool-items": "the output of a tool is said as text",
    "openai-agents/handoff-plain": (
        "deltas, whole items and arguments are all said as text; reasoning and tools are lost"
    ),
    "openai-agents/handoff-data": (
        "deltas, whole items and arguments are all said as text; reasoning and tools are lost"
    ),
    "openai-agents/handoff-items": "the output of a tool is said as text",
    "openai-agents/agent-as-tool-plain": (
        "deltas, whole items and arguments are all said as text; reasoning and tools are lost"
    ),
    "openai-agents/return-final-output": "a body of items or under another key is an empty answer",
    "openai-agents/return-input-list": "a body of items or under another key is an empty answer",
    "openai-agents/return-items": "the output of a tool is said as text",
    "openai-agents/approval-plain": "an approval is no question",
    "openai-agents/approval-return": "an approval is no question",
    "strands/return-result-field": "the text in a printed result is certain and is lost",
    "strands/structured-filtered": "the structured answer is not said",
    "strands/structured-return-message": "the structured answer is not said",
    "strands/hooks": "a tool result without an id is lost",
    "strands/cited-raw": "citations are dropped",
    "strands/cited-filtered": "citations are dropped",
    "strands/cited-converse": "citations are dropped",
    "strands/redacted-raw": "a replacement by a guardrail is not announced",
    "strands/redacted-converse": "a replacement by a guardrail is not announced",
    "strands/graph-raw": "nodes side by side: texts or arguments are mixed or said twice",
    "strands/graph-default-str": "nodes side by side: texts or arguments are mixed or said twice",
    "strands/graph-plain": "nodes side by side: texts or arguments are mixed or said twice",
    "strands/graph-words": "nodes side by side: texts or arguments are mixed or said twice",
    "strands/graph-arguments-raw": "nodes side by side: texts or arguments are mixed or said twice",
    "strands/graph-arguments-plain": (
        "nodes side by side: texts or arguments are mixed or said twice"
    ),
    "strands/graph-return-to-dict": (
        "a graph result holds the texts of its nodes, and they are lost"
    ),
    "strands/swarm-raw": "what an agent hands to the next is said as an answer",
    "strands/swarm-plain": "what an agent hands to the next is said as an answer",
    "strands/swarm-return-to-dict": (
        "a swarm result holds the texts of its agents, and they are lost"
    ),
    "strands/asks-raw": "an interrupt is no question",
    "strands/asks-default-str": "an interrupt is no question",
    "strands/asks-filtered": "an interrupt is no question",
    "strands/asks-converse": "an interrupt is no question",
    "strands/asks-return-result": "an interrupt is no question",
    "strands/asks-return-result-field": "an interrupt is no question",
    "strands/asks-return-message-field": "an interrupt is no question",
    "strands/asks-return-to-dict": "an interrupt is no question",
    "strands/asks-return-interrupts": "an interrupt is no question",
    "strands/chooses-raw": "an interrupt is no question",
    "strands/chooses-default-str": "an interrupt is no question",
    "strands/agui-graph": "messages side by side: texts are mixed",
    "strands/agui-frontend-tool": "a tool that the client has to run is no question",
    "strands/agui-asks": "an outcome that is an interrupt is no question",
}

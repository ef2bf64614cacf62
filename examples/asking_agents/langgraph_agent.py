"""A LangGraph agent that asks before it pays. Set AGENT_PAYLOAD=langgraph."""

from bedrock_agentcore import BedrockAgentCoreApp
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

app = BedrockAgentCoreApp()


def pay(state: MessagesState) -> MessagesState:
    call = {"name": "pay", "args": {"amount": 10, "to": "Jo"}}
    answer = interrupt({"question": "May I pay 10 to Jo?", **call})
    # True, "yes", or {"approved": true, "args": {...}} with other arguments
    edited = answer if isinstance(answer, dict) else {"approved": answer in (True, "yes")}
    args = edited.get("args", call["args"])
    told = f"Paid {args['amount']} to {args['to']}." if edited.get("approved") else "Declined."
    return {"messages": [AIMessage(told)]}


builder = StateGraph(MessagesState)
builder.add_node("pay", pay)
builder.add_edge(START, "pay")
# in memory, the question is gone with the session: AgentCore Memory or a database keep it
graph = builder.compile(checkpointer=InMemorySaver())


@app.entrypoint
async def invoke(payload):
    command = payload.get("command")
    asked = Command(**command) if command else payload["input"]
    async for update in graph.astream(asked, payload["config"], stream_mode="updates"):
        yield update


if __name__ == "__main__":
    app.run()

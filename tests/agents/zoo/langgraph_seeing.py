"""A LangGraph agent that says which files it was given, by what is in them.

Graph, messages and server are the real ones. The model is scripted: of every block that is no text
it reads the bytes and says kind, type, number and digest, as no model could that was not sent them.

    python langgraph_seeing.py            # POST /invocations and GET /ping on PORT
"""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Any

from bedrock_agentcore import BedrockAgentCoreApp
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph


class SeeingModel(BaseChatModel):
    @property
    def _llm_type(self) -> str:
        return "seeing"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        blocks = messages[-1].content_blocks  # LangChain's own reading of what it was given
        seen = "; ".join(seen_in(block) for block in blocks if block["type"] != "text")
        message = AIMessage(content=f"I see {seen or 'nothing'}.")
        return ChatResult(generations=[ChatGeneration(message=message)])


def seen_in(block: dict[str, Any]) -> str:
    if "base64" not in block:
        return f"{block['type']} without bytes"
    data = base64.b64decode(block["base64"], validate=True)
    digest = hashlib.sha256(data).hexdigest()[:16]
    return f"{block['type']} {block.get('mime_type')} {len(data)} {digest}"


async def answer(state: MessagesState) -> dict[str, Any]:
    return {"messages": [await SeeingModel().ainvoke(state["messages"])]}


builder = StateGraph(MessagesState)
builder.add_node("agent", answer)
builder.add_edge(START, "agent")
graph = builder.compile(checkpointer=InMemorySaver())
app = BedrockAgentCoreApp()


@app.entrypoint
async def invoke(payload: dict[str, Any], context: Any) -> Any:
    messages = convert_to_messages(payload["input"]["messages"])
    return graph.astream({"messages": messages}, payload["config"], stream_mode="messages")


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "8080")))

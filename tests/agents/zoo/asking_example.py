"""Serves an agent of examples/asking_agents; where it needs a model, with a scripted one.

`PORT=n python asking_example.py langgraph|strands|langchain`: the last is LangChain's middleware.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[3] / "examples" / "asking_agents"


def payer() -> Any:
    """A model that wants to pay, and says what came of it."""
    from script import Call, Player, Turn
    from strands_models import ScriptedModel

    class Payer(ScriptedModel):
        async def stream(self, messages: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            match messages[-1]["content"][0]:
                case {"toolResult": {"content": [{"text": text}, *_]}}:
                    turn = Turn(say=(text,))
                case _:
                    args_ = {"amount": 10, "to": "Jo"}
                    turn = Turn(calls=[Call(f"call_{uuid.uuid4().hex}", "pay", args_)])
            self.player = Player([turn])
            async for event in super().stream(messages, *args, **kwargs):
                yield event

    return Payer()


def langchain() -> Any:
    """An agent whose tool LangChain's middleware asks about: it reads decisions and no words."""
    from bedrock_agentcore import BedrockAgentCoreApp
    from langchain.agents import create_agent
    from langchain.agents.middleware import HumanInTheLoopMiddleware
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, ToolMessage
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langchain_core.tools import tool
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.types import Command

    class Payer(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "scripted"

        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return self

        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
            call = {"name": "pay", "args": {"amount": 10, "to": "Jo"}, "id": uuid.uuid4().hex}
            said = AIMessage("", tool_calls=[call])
            if isinstance(last := messages[-1], ToolMessage):
                said = AIMessage("Declined." if last.status == "error" else str(last.content))
            return ChatResult(generations=[ChatGeneration(message=said)])

    @tool
    def pay(amount: int, to: str) -> str:
        """Pay somebody."""
        return f"Paid {amount} to {to}."

    ask = {"pay": {"allowed_decisions": ["approve", "edit", "reject"], "description": "May I pay?"}}
    graph = create_agent(
        Payer(),
        tools=[pay],
        middleware=[HumanInTheLoopMiddleware(interrupt_on=ask)],
        checkpointer=InMemorySaver(),
    )
    app = BedrockAgentCoreApp()

    @app.entrypoint
    async def invoke(payload: dict[str, Any]) -> AsyncIterator[Any]:
        command = payload.get("command")
        asked = Command(**command) if command else payload["input"]
        async for update in graph.astream(asked, payload["config"], stream_mode="updates"):
            yield update

    return app


def main(name: str) -> None:
    if name == "langchain":
        langchain().run(port=int(os.environ["PORT"]), host="127.0.0.1")
        return
    spec = importlib.util.spec_from_file_location("asking", FOLDER / f"{name}_agent.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if hasattr(module, "MODEL"):
        module.MODEL = payer()
    module.app.run(port=int(os.environ["PORT"]), host="127.0.0.1")


if __name__ == "__main__":
    main(sys.argv[1])

"""Serves an agent of examples/asking_agents; where it needs a model, with a scripted one.

`PORT=n python asking_example.py langgraph|strands`
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


def main(name: str) -> None:
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

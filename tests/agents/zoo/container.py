"""Serves the scenarios of one program as an AgentCore container, by the real SDK.

`python PROGRAM --list` prints the scenarios with their truth and the versions of the packages that
matter; `PORT=n python PROGRAM` serves them. `payload["scenario"]` picks one.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from bedrock_agentcore import BedrockAgentCoreApp
from script import Scenario

Answer = Callable[[dict[str, Any]], Any]


class Zoo:
    """The scenarios of one program."""

    def __init__(self, framework: str, *packages: str) -> None:
        self.framework = framework
        self.packages = packages
        self.scenarios: dict[str, Scenario] = {}
        self.agents: dict[str, Any] = {}
        """What a session keeps between its requests."""

    def add(self, name: str, answer: Answer, truth: dict[str, Any], **more: Any) -> None:
        if name in self.scenarios:
            raise ValueError(f"two scenarios are called {name}")
        self.scenarios[name] = Scenario(name, answer, truth, **more)

    def served(self, name: str) -> Callable[[Answer], Answer]:
        """Something that is asked by tests of its own and not recorded."""

        def added(answer: Answer) -> Answer:
            self.add(name, answer, {}, recorded=False)
            return answer

        return added

    def scenario(self, name: str, **truth: Any) -> Callable[[Answer], Answer]:
        def added(answer: Answer) -> Answer:
            self.add(name, answer, truth)
            return answer

        return added

    def kept(self, ask: dict[str, Any], make: Callable[[], Any]) -> Any:
        """The agent of this session, made when it is first asked."""
        if ask["session_id"] not in self.agents:
            self.agents[ask["session_id"]] = make()
        return self.agents[ask["session_id"]]

    def run(self) -> None:
        if "--list" in sys.argv:
            print(json.dumps(self.listed()))
        else:
            self.app().run(port=int(os.environ["PORT"]))

    def listed(self) -> dict[str, Any]:
        versions = {name: version(name) for name in ("bedrock-agentcore", *self.packages)}
        scenarios = [
            {
                "name": scenario.name,
                **scenario.truth,
                **({"asks": scenario.asks} if scenario.asks else {}),
                **({"after": scenario.after} if scenario.after else {}),
            }
            for scenario in self.scenarios.values()
            if scenario.recorded
        ]
        return {"framework": self.framework, "versions": versions, "scenarios": scenarios}

    def app(self) -> BedrockAgentCoreApp:
        app = BedrockAgentCoreApp()

        @app.entrypoint
        async def answer(payload: dict[str, Any], context: Any) -> Any:
            result = self.scenarios[payload["scenario"]].answer(payload)
            return await result if inspect.isawaitable(result) else result

        return app

"""A chat of three turns through each client that this interpreter has; prints what it showed.

Run by tests/clients/test_chats.py. Every turn goes to the other of two tasks, `BASE_URL` and
`OTHER_URL`, and each client has a key of its own, `KEY_PREFIX` and its name, so that its sessions
can be counted. What a client says is SYSTEM and the three texts of SAID.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

ADDRESSES = [os.environ["BASE_URL"] + "/v1", os.environ["OTHER_URL"] + "/v1"]
SYSTEM = "Be brief."
SAID = ("I am Jo", "/system", "/turns")


def need(module: str) -> Any:
    """A module that only some of these environments have, and mypy's has not."""
    return importlib.import_module(module)


def key(name: str) -> str:
    return os.environ["KEY_PREFIX"] + name.replace(" ", "-")


def turns() -> Iterable[tuple[str, str]]:
    """Each text and the address of the task that it goes to."""
    for number, text in enumerate(SAID):
        yield text, ADDRESSES[number % 2]


def message(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def openai_chat(name: str) -> list[str]:
    said, answers = [message("system", SYSTEM)], []
    for text, address in turns():
        client = need("openai").OpenAI(base_url=address, api_key=key(name))
        said.append(message("user", text))
        answer = client.chat.completions.create(model="agent", messages=said).choices[0].message
        answers.append(answer.content)
        said.append({"role": "assistant", "content": answer.content})
    return answers


def openai_responses(name: str) -> list[str]:
    """All that was said, with the items as they came."""
    said: list[Any] = []
    answers = []
    for text, address in turns():
        client = need("openai").OpenAI(base_url=address, api_key=key(name))
        said.append(message("user", text))
        answer = client.responses.create(model="agent", instructions=SYSTEM, input=said)
        answers.append(answer.output_text)
        said += [item.model_dump(exclude_none=True) for item in answer.output]
    return answers


def openai_previous(name: str) -> list[str]:
    """Only what is new, behind the answer before."""
    behind, answers = None, []
    for text, address in turns():
        client = need("openai").OpenAI(base_url=address, api_key=key(name))
        answer = client.responses.create(
            model="agent", instructions=SYSTEM, input=text, previous_response_id=behind
        )
        behind = answer.id
        answers.append(answer.output_text)
    return answers


def aisuite(name: str) -> list[str]:
    said, answers = [message("system", SYSTEM)], []
    for text, address in turns():
        client = need("aisuite").Client({"openai": {"api_key": key(name), "base_url": address}})
        said.append(message("user", text))
        answer = client.chat.completions.create(model="openai:agent", messages=said)
        answers.append(answer.choices[0].message.content)
        said.append(message("assistant", answers[-1]))
    return answers


def llama_index(name: str) -> list[str]:
    types = need("llama_index.core.llms")
    said, answers = [types.ChatMessage(role="system", content=SYSTEM)], []
    for text, address in turns():
        model = need("llama_index.llms.openai_like").OpenAILike(
            model="agent", api_base=address, api_key=key(name), is_chat_model=True
        )
        said.append(types.ChatMessage(role="user", content=text))
        answer = model.chat(said).message
        answers.append(answer.content)
        said.append(answer)
    return answers


def langchain(name: str, **options: Any) -> list[str]:
    said: list[Any] = [message("system", SYSTEM)]
    answers = []
    for text, address in turns():
        model = need("langchain_openai").ChatOpenAI(
            model="agent", base_url=address, api_key=key(name), **options
        )
        said.append(message("user", text))
        answer = model.invoke(said)
        answers.append(answer.text if isinstance(answer.text, str) else answer.text())
        said.append(answer)
    return answers


def langchain_responses(name: str) -> list[str]:
    return langchain(name, use_responses_api=True)


def langchain_previous(name: str) -> list[str]:
    return langchain(name, use_responses_api=True, use_previous_response_id=True)


def pydantic_ai(name: str, model: str = "OpenAIChatModel") -> list[str]:
    answers: list[str] = []
    before: Any = None
    for text, address in turns():
        provider = need("pydantic_ai.providers.openai").OpenAIProvider(
            base_url=address, api_key=key(name)
        )
        of_openai = getattr(need("pydantic_ai.models.openai"), model)("agent", provider=provider)
        agent = need("pydantic_ai").Agent(of_openai, system_prompt=SYSTEM)
        answer = agent.run_sync(text, message_history=before)
        answers.append(answer.output)
        before = answer.all_messages()
    return answers


def pydantic_ai_responses(name: str) -> list[str]:
    return pydantic_ai(name, "OpenAIResponsesModel")


def openai_agents(name: str, model: str = "OpenAIChatCompletionsModel") -> list[str]:
    agents = need("agents")
    agents.set_tracing_disabled(True)

    async def chat() -> list[str]:
        said: list[Any] = []
        answers = []
        for text, address in turns():
            client = need("openai").AsyncOpenAI(base_url=address, api_key=key(name))
            agent = agents.Agent(
                name="Agent",
                instructions=SYSTEM,
                model=getattr(agents, model)(model="agent", openai_client=client),
            )
            answer = await agents.Runner.run(agent, [*said, message("user", text)])
            answers.append(answer.final_output)
            said = answer.to_input_list()
            await client.close()
        return answers

    return asyncio.run(chat())


def openai_agents_responses(name: str) -> list[str]:
    return openai_agents(name, "OpenAIResponsesModel")


def llm(name: str) -> list[str]:
    model = need("llm.default_plugins.openai_models").Chat(
        "agent", key=key(name), model_name="agent"
    )
    chat, answers = model.conversation(), []
    for number, (text, address) in enumerate(turns()):
        model.api_base = address
        answers.append(chat.prompt(text, system=None if number else SYSTEM, key=key(name)).text())
    return answers


def litellm(name: str) -> list[str]:
    said, answers = [message("system", SYSTEM)], []
    for text, address in turns():
        said.append(message("user", text))
        answer = need("litellm").completion(
            model="openai/agent", api_base=address, api_key=key(name), messages=said
        )
        answers.append(answer.choices[0].message.content)
        said.append(answer.choices[0].message)
    return answers


CLIENTS: Mapping[str, tuple[str, Callable[[str], list[str]]]] = {
    "openai chat": ("openai", openai_chat),
    "openai responses": ("openai", openai_responses),
    "openai previous_response_id": ("openai", openai_previous),
    "aisuite": ("aisuite", aisuite),
    "llama-index OpenAILike": ("llama-index-llms-openai-like", llama_index),
    "langchain-openai chat": ("langchain-openai", langchain),
    "langchain-openai responses": ("langchain-openai", langchain_responses),
    "langchain-openai previous_response_id": ("langchain-openai", langchain_previous),
    "pydantic-ai chat": ("pydantic-ai-slim", pydantic_ai),
    "pydantic-ai responses": ("pydantic-ai-slim", pydantic_ai_responses),
    "openai-agents chat": ("openai-agents", openai_agents),
    "openai-agents responses": ("openai-agents", openai_agents_responses),
    "llm": ("llm", llm),
    "litellm": ("litellm", litellm),
}
"""What each is called: its package, and how it holds the chat."""


def chats() -> dict[str, Any]:
    shown = {}
    for name, (package, chat) in CLIENTS.items():
        try:
            installed = version(package)
        except PackageNotFoundError:
            continue
        try:
            shown[name] = {"version": installed, "answers": chat(name)}
        except Exception as error:  # the test shows it beside what the others did
            shown[name] = {"version": installed, "error": f"{type(error).__name__}: {error}"}
    return shown


if __name__ == "__main__":
    json.dump(chats(), sys.stdout)

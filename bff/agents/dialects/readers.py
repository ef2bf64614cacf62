"""Which dialect reads a frame, by its `type` or by a key of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain

from bff.agents.dialects import (
    a2a,
    ag2,
    agent_framework,
    agno,
    agui,
    ai_sdk,
    autogen,
    camel,
    claude,
    cohere,
    crewai,
    dspy,
    gemini,
    genkit,
    griptape,
    haystack,
    langchain,
    langchain_protocol,
    langgraph,
    langroid,
    letta,
    llamaindex,
    mistral,
    multi_agent,
    openai,
    openai_agents,
    pydantic_ai,
    semantic_kernel,
    smolagents,
    spring_ai,
    strands,
    strands_ts,
)
from bff.agents.dialects.assembly import Reader


def _merged(*tables: Mapping[str, Reader]) -> dict[str, tuple[Reader, ...]]:
    merged: dict[str, tuple[Reader, ...]] = {}
    for word, reader in chain.from_iterable(table.items() for table in tables):
        merged[word] = (*merged.get(word, ()), reader)
    return merged


BY_TYPE = _merged(
    langchain.BY_TYPE,
    agui.BY_TYPE,
    langgraph.BY_TYPE,
    langchain_protocol.BY_TYPE,
    strands.BY_TYPE,
    strands_ts.BY_TYPE,
    multi_agent.BY_TYPE,
    cohere.BY_TYPE,
    ai_sdk.BY_TYPE,
    openai.BY_TYPE,
    openai_agents.BY_TYPE,
    claude.BY_TYPE,
    autogen.BY_TYPE,
    crewai.BY_TYPE,
    llamaindex.BY_TYPE,
    agent_framework.BY_TYPE,
    pydantic_ai.BY_TYPE,
    smolagents.BY_TYPE,
    ag2.BY_TYPE,
    dspy.BY_TYPE,
    mistral.BY_TYPE,
    griptape.BY_TYPE,
)
"""Who reads a frame by its `type`, in this order."""
BY_KEY = _merged(
    openai.BY_KEY,
    openai_agents.BY_KEY,
    langgraph.BY_KEY,
    strands.BY_KEY,
    gemini.BY_KEY,
    genkit.BY_KEY,
    camel.BY_KEY,
    langroid.BY_KEY,
    letta.BY_KEY,
    spring_ai.BY_KEY,
    claude.BY_KEY,
    autogen.BY_KEY,
    crewai.BY_KEY,
    llamaindex.BY_KEY,
    pydantic_ai.BY_KEY,
    smolagents.BY_KEY,
    agno.BY_KEY,
    ai_sdk.BY_KEY,
    a2a.BY_KEY,
    agent_framework.BY_KEY,
    ag2.BY_KEY,
    haystack.BY_KEY,
    semantic_kernel.BY_KEY,
    dspy.BY_KEY,
)
"""Who reads a frame by a key that only his have."""
SURE_KEYS = BY_KEY.keys() - {"message_type", "messageType", "msgs", "tool_call", "toolCall"}
"""Those of them that a typed answer, which is JSON because that was asked for, does not have."""
CLASSES = frozenset(word for word in BY_TYPE if re.fullmatch("[A-Z][a-z][A-Za-z]*", word))
"""Classes, which agents put as an event's name where a dump does not tell them."""

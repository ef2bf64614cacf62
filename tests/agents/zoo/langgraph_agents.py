"""LangGraph and LangChain agents, and AG-UI's adapter around them, as they are served on AgentCore.

What is yielded follows AWS's samples and templates and LangGraph's own documentation of streaming,
interrupts and multi-agent graphs.
"""

from __future__ import annotations

from container import Zoo
from langgraph_agui import add_agui
from langgraph_asking import add_asking
from langgraph_ends import add_ends
from langgraph_single import add_single
from langgraph_states import add_states
from langgraph_teams import add_teams

zoo = Zoo(
    "LangGraph",
    "langgraph",
    "langchain",
    "langgraph-supervisor",
    "langgraph-swarm",
    "ag-ui-langgraph",
)
add_single(zoo)
add_states(zoo)
add_teams(zoo)
add_asking(zoo)
add_agui(zoo)
add_ends(zoo)

if __name__ == "__main__":
    zoo.run()

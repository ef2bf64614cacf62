"""Strands agents, graphs and swarms, and AG-UI's adapter around them, as AgentCore serves them."""

from __future__ import annotations

from container import Zoo
from strands_agui import add_agui
from strands_asking import add_asking
from strands_single import add_single
from strands_teams import add_teams

zoo = Zoo("Strands Agents", "strands-agents", "ag-ui-strands")
add_single(zoo)
add_teams(zoo)
add_asking(zoo)
add_agui(zoo)

if __name__ == "__main__":
    zoo.run()

"""The service's own metrics in CloudWatch, by the names that `bff.telemetry` writes.

A test lets the service write one of each and looks for these.
"""

from __future__ import annotations

NAMESPACE = "AgentCoreBFF"
OPEN_STREAMS = "OpenStreams"
FIRST_EVENT_SECONDS = "FirstEventSeconds"
AGENT_FAILURES = "AgentFailures"
AGENT_THROTTLES = "AgentThrottles"
REQUEST_SECONDS = "RequestSeconds"
"""Of requests that wait for no agent: sessions, polls, refusals."""

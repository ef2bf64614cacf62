"""The service's own metrics in CloudWatch, by the names that `bff.telemetry` writes.

docs/metrics.md explains them; a test lets the service write one of each and looks for these.
"""

from __future__ import annotations

NAMESPACE = "AgentCoreBFF"
OPEN_STREAMS = "OpenStreams"
TIME_TO_FIRST_EVENT = "TimeToFirstEvent"
"""Milliseconds."""
RUN_ERRORS = "RunErrors"
AGENT_THROTTLED = "AgentThrottled"
REQUEST_LATENCY = "RequestLatency"
"""Milliseconds, of requests that wait for no agent: sessions, polls, refusals."""

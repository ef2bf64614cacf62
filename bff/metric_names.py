"""The service's metrics in CloudWatch, by name: the service writes them, the stack reads them.

Kept apart from what writes them, so that the stack's alarms and scaling import nothing else.
docs/metrics.md explains each.
"""

from __future__ import annotations

NAMESPACE = "AgentCoreBFF"
DIMENSION = "Service"
AGENT = "Agent"
"""A second dimension, of what is counted by agent."""

OPEN_STREAMS = "OpenStreams"
OPEN_WEBSOCKETS = "OpenWebSockets"
OPEN_RUNS = "OpenRuns"
RUNS = "Runs"
RUN_ERRORS = "RunErrors"
AGENT_THROTTLED = "AgentThrottled"
RATE_LIMITED = "RateLimited"
REQUESTS = "Requests"
SERVER_ERRORS = "ServerErrors"
INTERNAL_ERRORS = "InternalErrors"
HISTORY_FAILURES = "HistoryFailures"
SLOW_CLIENTS = "SlowClients"
LOG_LINES_DROPPED = "LogLinesDropped"
LOOP_LAG = "LoopLag"
TIME_TO_FIRST_EVENT = "TimeToFirstEvent"
REQUEST_LATENCY = "RequestLatency"

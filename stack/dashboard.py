"""The page to open when something is wrong: first whether people are served, then why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from bff.metric_names import (
    AGENT_THROTTLED,
    DIMENSION,
    HISTORY_FAILURES,
    INTERNAL_ERRORS,
    NAMESPACE,
    OPEN_STREAMS,
    REQUEST_LATENCY,
    RUN_ERRORS,
    RUNS,
    TIME_TO_FIRST_EVENT,
)
from stack.config import Stack

HALF, HEIGHT = 12, 6
"""The page is 24 wide."""


@dataclass(frozen=True, kw_only=True)
class DashboardArgs:
    stack: Stack
    balancer_label: pulumi.Input[str]
    target_labels: Sequence[pulumi.Input[str]]
    table: pulumi.Input[str] | None
    cache: pulumi.Input[str] | None
    firewall: str | None
    """The dimension of its metrics."""
    log_group: pulumi.Input[str]
    alarm_arns: Mapping[str, pulumi.Input[str]]
    streams_per_task: int


class Dashboard(pulumi.ComponentResource):
    """`url` opens it in the console."""

    def __init__(
        self, name: str, args: DashboardArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("bff:stack:Dashboard", name, None, opts)
        self._region = args.stack.region
        dashboard = aws.cloudwatch.Dashboard(
            name,
            dashboard_name=args.stack.name,
            dashboard_body=pulumi.Output.json_dumps({"widgets": self._widgets(args)}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.url = pulumi.Output.format(
            "https://{}/cloudwatch/home?region={}#dashboards/dashboard/{}",
            _console(args.stack.region),
            args.stack.region,
            dashboard.dashboard_name,
        )
        self.register_outputs({"url": self.url})

    def _widgets(self, args: DashboardArgs) -> list[dict[str, Any]]:
        balancer = ["LoadBalancer", args.balancer_label]
        service = ["ClusterName", args.stack.name, "ServiceName", args.stack.name]
        own = [DIMENSION, args.stack.name]
        elb, ecs, insights = "AWS/ApplicationELB", "AWS/ECS", "ECS/ContainerInsights"
        charts = [
            self._chart(
                "Requests and refusals a minute",
                "Sum",
                [
                    [elb, "RequestCount", *balancer],
                    [elb, "HTTPCode_Target_4XX_Count", *balancer],
                    [elb, "HTTPCode_Target_5XX_Count", *balancer],
                    [elb, "HTTPCode_ELB_5XX_Count", *balancer],
                    [elb, "RejectedConnectionCount", *balancer],
                ],
            ),
            self._chart(
                "Open streams per task",
                "Average",
                [
                    [NAMESPACE, OPEN_STREAMS, *own],
                    [NAMESPACE, OPEN_STREAMS, *own, {"stat": "Maximum", "label": "fullest task"}],
                ],
                mark=(args.streams_per_task, "scales out"),
            ),
            self._chart(
                "Milliseconds to the agent's first event",
                "p50",
                [
                    [NAMESPACE, TIME_TO_FIRST_EVENT, *own],
                    [NAMESPACE, TIME_TO_FIRST_EVENT, *own, {"stat": "p90"}],
                    [NAMESPACE, TIME_TO_FIRST_EVENT, *own, {"stat": "p99"}],
                ],
            ),
            self._chart(
                "Milliseconds of requests that wait for no agent",
                "Average",
                [
                    [NAMESPACE, REQUEST_LATENCY, *own],
                    [NAMESPACE, REQUEST_LATENCY, *own, {"stat": "p99"}],
                ],
                mark=(2_000, "alarm"),
            ),
            self._chart(
                "Runs that ended, the agent's failures and refusals among them",
                "Sum",
                [
                    [NAMESPACE, RUNS, *own],
                    [NAMESPACE, RUN_ERRORS, *own],
                    [NAMESPACE, AGENT_THROTTLED, *own],
                ],
            ),
            self._chart(
                "Tasks",
                "Average",
                [
                    [insights, "DesiredTaskCount", *service],
                    [insights, "RunningTaskCount", *service],
                    *(
                        [elb, metric, "TargetGroup", label, *balancer]
                        for label in args.target_labels
                        for metric in ("HealthyHostCount", "UnHealthyHostCount")
                    ),
                ],
            ),
            self._chart(
                "CPU and memory, %",
                "Average",
                [[ecs, "CPUUtilization", *service], [ecs, "MemoryUtilization", *service]],
                mark=(90, "alarm"),
            ),
            self._chart("What should not be", "Sum", self._wrong(args)),
            self._log(args.log_group),
        ]
        placed = [
            {
                "x": place % 2 * HALF,
                "y": 2 + place // 2 * HEIGHT,
                "width": HALF,
                "height": HEIGHT,
                **chart,
            }
            for place, chart in enumerate(charts)
        ]
        return [self._alarms(list(args.alarm_arns.values())), *placed]

    def _wrong(self, args: DashboardArgs) -> list[list[Any]]:
        own = [DIMENSION, args.stack.name]
        metrics: list[list[Any]] = [
            [NAMESPACE, INTERNAL_ERRORS, *own],
            [NAMESPACE, HISTORY_FAILURES, *own],
        ]
        if args.table is not None:
            for what in ("Read", "Write"):
                metrics.append(["AWS/DynamoDB", f"{what}ThrottleEvents", "TableName", args.table])
        if args.cache is not None:
            cache = ["clusterId", args.cache]
            right = {"yAxis": "right", "stat": "Maximum"}
            metrics.append(["AWS/ElastiCache", "ThrottledCmds", *cache])
            metrics.append(["AWS/ElastiCache", "BytesUsedForCache", *cache, right])
        if args.firewall is not None:
            acl = ["WebACL", args.firewall, "Region", args.stack.region, "Rule", "ALL"]
            metrics.append(["AWS/WAFV2", "BlockedRequests", *acl])
        return metrics

    def _alarms(self, arns: Sequence[pulumi.Input[str]]) -> dict[str, Any]:
        return {
            "type": "alarm",
            "x": 0,
            "y": 0,
            "width": 2 * HALF,
            "height": 2,
            "properties": {"title": "Alarms", "alarms": arns},
        }

    def _chart(
        self,
        title: str,
        stat: str,
        metrics: list[list[Any]],
        *,
        mark: tuple[float, str] | None = None,
    ) -> dict[str, Any]:
        properties: dict[str, Any] = {
            "title": title,
            "region": self._region,
            "view": "timeSeries",
            "period": 60,
            "stat": stat,
            "metrics": metrics,
            "yAxis": {"left": {"min": 0}},
        }
        if mark:
            properties["annotations"] = {"horizontal": [{"value": mark[0], "label": mark[1]}]}
        return {"type": "metric", "properties": properties}

    def _log(self, group: pulumi.Input[str]) -> dict[str, Any]:
        query = pulumi.Output.format(
            "SOURCE '{}' | fields @timestamp, @message | filter level in ['ERROR', 'CRITICAL']"
            " | sort @timestamp desc | limit 20",
            group,
        )
        return {
            "type": "log",
            "properties": {
                "title": "Last errors",
                "region": self._region,
                "view": "table",
                "query": query,
            },
        }


def _console(region: str) -> str:
    """Each of AWS's partitions has its own."""
    if region.startswith("us-gov-"):
        return "console.amazonaws-us-gov.com"
    return (
        "console.amazonaws.cn" if region.startswith("cn-") else f"{region}.console.aws.amazon.com"
    )

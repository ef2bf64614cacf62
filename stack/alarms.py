"""What wakes a person, and the page to look at then.

Each alarm tells in its description what to do; docs/operations.md says more. All of them are quiet
without data: at night nobody talks, and silence is not an outage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bff.metric_names import (
    AGENT_THROTTLED,
    DIMENSION,
    NAMESPACE,
    REQUEST_LATENCY,
    RUN_ERRORS,
    TIME_TO_FIRST_EVENT,
)
from stack.config import Stack
from stack.keys import AlarmKeys

Dimensions = Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True, kw_only=True)
class AlarmsArgs:
    stack: Stack
    keys: AlarmKeys
    balancer_label: pulumi.Input[str]
    target_label: pulumi.Input[str]


class Alarms(pulumi.ComponentResource):
    """`arns` by name; `rollback` are the names of those that turn a deployment back."""

    def __init__(
        self, name: str, args: AlarmsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("bff:stack:Alarms", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        self.topic_arn = self._topic(args.keys.alarm_email)
        self.arns: dict[str, pulumi.Output[str]] = {}
        balancer = {"LoadBalancer": args.balancer_label}
        targets = balancer | {"TargetGroup": args.target_label}
        service = {"ClusterName": args.stack.name, "ServiceName": args.stack.name}
        own = {DIMENSION: args.stack.name}

        target_5xx = self._alarm(
            "target-5xx",
            "The service answers with 5xx: its log names the request ids",
            metric=("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", balancer),
            statistic="Sum",
            over=10,
            times=2,
        )
        balancer_5xx = self._alarm(
            "balancer-5xx",
            "The load balancer answers with 5xx itself: no healthy task, or tasks that hang up",
            metric=("AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", balancer),
            statistic="Sum",
            over=10,
            times=2,
        )
        unhealthy = self._alarm(
            "unhealthy-hosts",
            "A task fails /health: see its events in the service and its log",
            metric=("AWS/ApplicationELB", "UnHealthyHostCount", targets),
            statistic="Maximum",
            over=0,
            times=3,
        )
        self.rollback = [target_5xx.name, balancer_5xx.name, unhealthy.name]
        self._alarm(
            "latency",
            "Requests that wait for no agent take over 2 s: CPU, Valkey or DynamoDB",
            metric=(NAMESPACE, REQUEST_LATENCY, own),
            statistic="Average",
            over=2_000,
            times=3,
        )
        self._alarm(
            "first-event",
            "One run in ten waits over 20 s for the agent's first word: cold starts, a slow model",
            metric=(NAMESPACE, TIME_TO_FIRST_EVENT, own),
            statistic="p90",
            over=20_000,
            times=3,
        )
        self._alarm(
            "agent-failures",
            "Runs end in an error of the agent's: see the runtime's own log",
            metric=(NAMESPACE, RUN_ERRORS, own),
            statistic="Sum",
            over=10,
            times=2,
        )
        self._alarm(
            "agent-throttles",
            "AgentCore refuses calls for their number: raise the account's quotas",
            metric=(NAMESPACE, AGENT_THROTTLED, own),
            statistic="Sum",
            over=10,
            times=2,
        )
        self._alarm(
            "cpu",
            "Tasks are at the end of their CPU and scaling has not helped: raise maxTasks or cpu",
            metric=("AWS/ECS", "CPUUtilization", service),
            statistic="Average",
            over=90,
            times=2,
            period_seconds=300,
        )
        self._alarm(
            "memory",
            "Tasks are at the end of their memory: raise memory, or lower RUN_RETENTION",
            metric=("AWS/ECS", "MemoryUtilization", service),
            statistic="Maximum",
            over=90,
            times=2,
            period_seconds=300,
        )
        self._tasks_missing(service)
        self.register_outputs({"topic": self.topic_arn})

    def _topic(self, email: str | None) -> pulumi.Output[str]:
        """Not encrypted by a key of its own: CloudWatch cannot publish under AWS's, and what it
        says is no secret."""
        topic = aws.sns.Topic(self._name, opts=self._child)
        if email:
            aws.sns.TopicSubscription(
                self._name, topic=topic.arn, protocol="email", endpoint=email, opts=self._child
            )
        return topic.arn

    def _alarm(
        self,
        what: str,
        description: str,
        *,
        metric: tuple[str, str, Dimensions],
        statistic: str,
        over: float,
        times: int,
        period_seconds: int = 60,
    ) -> aws.cloudwatch.MetricAlarm:
        namespace, metric_name, dimensions = metric
        percentile = statistic.startswith("p")
        alarm = aws.cloudwatch.MetricAlarm(
            f"{self._name}-{what}",
            alarm_description=description,
            namespace=namespace,
            metric_name=metric_name,
            dimensions=dimensions,
            statistic=None if percentile else statistic,
            extended_statistic=statistic if percentile else None,
            comparison_operator="GreaterThanThreshold",
            threshold=over,
            period=period_seconds,
            evaluation_periods=times,
            treat_missing_data="notBreaching",
            alarm_actions=[self.topic_arn],
            ok_actions=[self.topic_arn],
            opts=self._child,
        )
        self.arns[what] = alarm.arn
        return alarm

    def _tasks_missing(self, service: Dimensions) -> None:
        """Fewer tasks run than should, longer than a deployment or a step of scaling takes."""

        def insight(id: str, metric_name: str) -> aws.cloudwatch.MetricAlarmMetricQueryArgsDict:
            return {
                "id": id,
                "return_data": False,
                "metric": {
                    "namespace": "ECS/ContainerInsights",
                    "metric_name": metric_name,
                    "dimensions": service,
                    "stat": "Average",
                    "period": 60,
                },
            }

        queries: Sequence[aws.cloudwatch.MetricAlarmMetricQueryArgsDict] = [
            {
                "id": "missing",
                "label": "tasks missing",
                "expression": "desired - running",
                "return_data": True,
            },
            insight("desired", "DesiredTaskCount"),
            insight("running", "RunningTaskCount"),
        ]
        alarm = aws.cloudwatch.MetricAlarm(
            f"{self._name}-tasks-missing",
            alarm_description="Fewer tasks run than should: see the service's events",
            metric_queries=queries,
            comparison_operator="GreaterThanThreshold",
            threshold=0,
            evaluation_periods=10,
            treat_missing_data="notBreaching",
            alarm_actions=[self.topic_arn],
            ok_actions=[self.topic_arn],
            opts=self._child,
        )
        self.arns["tasks-missing"] = alarm.arn

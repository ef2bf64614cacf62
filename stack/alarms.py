"""CloudWatch alarms, all sent to one SNS topic.

Each alarm bears the stack's name, which is all that a mail's subject or a pager shows, and tells in
its description what to do; docs/operations.md says more. All of them are quiet without data: at
night nobody talks, and silence is not an outage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bff.metric_names import (
    AGENT_THROTTLED,
    DIMENSION,
    HISTORY_FAILURES,
    INTERNAL_ERRORS,
    NAMESPACE,
    REQUEST_LATENCY,
    RUN_ERRORS,
    RUNS,
    TIME_TO_FIRST_EVENT,
)
from stack.budget import Budget, BudgetArgs
from stack.config import Stack
from stack.keys import AlarmKeys
from stack.storage import CACHE_GIGABYTES

FEWEST_RUNS = 3
"""In a quarter of an hour: one person's two failures say little of the agent."""

Dimensions = Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True, kw_only=True)
class AlarmsArgs:
    stack: Stack
    keys: AlarmKeys
    balancer_label: pulumi.Input[str]
    target_labels: Sequence[pulumi.Input[str]]
    least_tasks: int
    most_tasks: int
    table: pulumi.Input[str] | None
    cache: pulumi.Input[str] | None
    firewall: str | None
    """The dimension of its metrics."""


class Alarms(pulumi.ComponentResource):
    """`arns` by name; `rollback` are the names of those that turn a deployment back."""

    def __init__(
        self, name: str, args: AlarmsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("bff:stack:Alarms", name, None, opts)
        self._name = name
        self._stack = args.stack
        self._child = pulumi.ResourceOptions(parent=self)
        self.topic_arn = self._topic(args)
        self.arns: dict[str, pulumi.Output[str]] = {}
        balancer = {"LoadBalancer": args.balancer_label}
        service = {"ClusterName": args.stack.name, "ServiceName": args.stack.name}
        own = {DIMENSION: args.stack.name}

        self._alarm(
            "target-5xx",
            "The service answers with 5xx, its own mistakes or the agent's: see its log",
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
        internal = self._alarm(
            "internal-errors",
            "The service makes mistakes of its own: its log names the request ids",
            metric=(NAMESPACE, INTERNAL_ERRORS, own),
            statistic="Sum",
            over=10,
            times=2,
        )
        unhealthy = self._unhealthy(args)
        # Not target-5xx: an agent that flaps would turn back a good deployment.
        self.rollback = [internal.name, balancer_5xx.name, unhealthy.name]
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
        # Ten a minute are never reached where few people talk, though nobody gets an answer.
        self._computed(
            "most-runs-fail",
            "Of three runs or more in 15 minutes most end in an error: see agent-failures",
            "most runs fail",
            f"IF(failed * 2 > ended AND ended >= {FEWEST_RUNS}, 1, 0)",
            {
                "ended": (NAMESPACE, RUNS, own, "Sum"),
                "failed": (NAMESPACE, RUN_ERRORS, own, "Sum"),
            },
            times=1,
            period_seconds=900,
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
        self._alarm(
            "history-failures",
            "Turns could not be written to the history: permissions, throttling, an outage",
            metric=(NAMESPACE, HISTORY_FAILURES, own),
            statistic="Sum",
            over=5,
            times=2,
        )
        self._tasks_missing(service)
        self._limits(args, service)
        self.register_outputs({"topic": self.topic_arn})

    def _limits(self, args: AlarmsArgs, service: Dimensions) -> None:
        """What is refused, and by whom, because there is too much of it."""
        if args.most_tasks > args.least_tasks:
            self._alarm(
                "at-max-tasks",
                "As many tasks run as may: raise maxTasks before they are full",
                metric=("ECS/ContainerInsights", "DesiredTaskCount", service),
                statistic="Minimum",
                over=args.most_tasks - 1,
                times=15,
            )
        if args.firewall is not None:
            acl = {"WebACL": args.firewall, "Region": args.stack.region, "Rule": "ALL"}
            self._alarm(
                "firewall-blocks",
                "The firewall refuses many requests: an attack, or a rule that is wrong for you",
                metric=("AWS/WAFV2", "BlockedRequests", acl),
                statistic="Sum",
                over=500,
                times=3,
            )
        if args.table is not None:
            for what in ("Read", "Write"):
                self._alarm(
                    f"table-{what.lower()}-throttles",
                    "DynamoDB refuses calls for their number: a hot conversation, or a quota",
                    metric=("AWS/DynamoDB", f"{what}ThrottleEvents", {"TableName": args.table}),
                    statistic="Sum",
                    over=5,
                    times=2,
                )
        if args.cache is not None:
            cache = {"clusterId": args.cache}
            self._alarm(
                "cache-full",
                "Valkey is near its cap, past which runs are dropped early: lower RUN_RETENTION",
                metric=("AWS/ElastiCache", "BytesUsedForCache", cache),
                statistic="Maximum",
                over=int(0.8 * CACHE_GIGABYTES * 2**30),
                times=3,
            )
            self._alarm(
                "cache-throttles",
                "Valkey refuses commands for their number: raise its cap in stack/storage.py",
                metric=("AWS/ElastiCache", "ThrottledCmds", cache),
                statistic="Sum",
                over=10,
                times=2,
            )

    def _topic(self, args: AlarmsArgs) -> pulumi.Output[str]:
        """Not encrypted by a key of its own: CloudWatch cannot publish under AWS's, and what it
        says is no secret."""
        topic = aws.sns.Topic(self._name, opts=self._child)
        if args.keys.alarm_email:
            aws.sns.TopicSubscription(
                self._name,
                topic=topic.arn,
                protocol="email",
                endpoint=args.stack.kept("alarmEmail", args.keys.alarm_email),
                opts=self._child,
            )
        if args.keys.budget_usd:
            Budget(
                self._name,
                BudgetArgs(stack=args.stack, dollars=args.keys.budget_usd, topic_arn=topic.arn),
                self._child,
            )
        return topic.arn

    def _unhealthy(self, args: AlarmsArgs) -> aws.cloudwatch.MetricAlarm:
        """Of whichever target group is in use."""
        description = "A task fails /health: see its events in the service and its log"
        metrics = [
            (
                "AWS/ApplicationELB",
                "UnHealthyHostCount",
                {"LoadBalancer": args.balancer_label, "TargetGroup": label},
            )
            for label in args.target_labels
        ]
        if len(metrics) == 1:
            return self._alarm(
                "unhealthy-hosts",
                description,
                metric=metrics[0],
                statistic="Maximum",
                over=0,
                times=3,
            )
        parts = {f"m{place}": metric for place, metric in enumerate(metrics)}
        return self._computed(
            "unhealthy-hosts",
            description,
            "unhealthy tasks",
            " + ".join(f"FILL({id}, 0)" for id in parts),
            {id: (*metric, "Maximum") for id, metric in parts.items()},
            times=3,
        )

    def _computed(
        self,
        what: str,
        description: str,
        label: str,
        expression: str,
        metrics: Mapping[str, tuple[str, str, Dimensions, str]],
        *,
        times: int,
        period_seconds: int = 60,
    ) -> aws.cloudwatch.MetricAlarm:
        """Over an expression of several metrics, which fires above nought."""
        queries: list[aws.cloudwatch.MetricAlarmMetricQueryArgsDict] = [
            {
                "id": label.split()[-1],
                "label": label,
                "expression": expression,
                "return_data": True,
            }
        ]
        for id, (namespace, metric_name, dimensions, statistic) in metrics.items():
            queries.append(
                {
                    "id": id,
                    "return_data": False,
                    "metric": {
                        "namespace": namespace,
                        "metric_name": metric_name,
                        "dimensions": dimensions,
                        "stat": statistic,
                        "period": period_seconds,
                    },
                }
            )
        alarm = aws.cloudwatch.MetricAlarm(
            f"{self._name}-{what}",
            name=f"{self._stack.name}-{what}",
            alarm_description=description,
            metric_queries=queries,
            comparison_operator="GreaterThanThreshold",
            threshold=0,
            evaluation_periods=times,
            treat_missing_data="notBreaching",
            alarm_actions=[self.topic_arn],
            ok_actions=[self.topic_arn],
            opts=self._child,
        )
        self.arns[what] = alarm.arn
        return alarm

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
            name=f"{self._stack.name}-{what}",
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
        insights = "ECS/ContainerInsights"
        self._computed(
            "tasks-missing",
            "Fewer tasks run than should: see the service's events",
            "tasks missing",
            "desired - running",
            {
                "desired": (insights, "DesiredTaskCount", service, "Average"),
                "running": (insights, "RunningTaskCount", service, "Average"),
            },
            times=10,
        )

"""When the tasks grow in number: by CPU, by requests, by open streams, by the clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_aws as aws

from bff.metric_names import DIMENSION, NAMESPACE, OPEN_STREAMS
from stack.config import Stack
from stack.keys import ServiceKeys
from stack.service import Service

COOLDOWN_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class ScalingArgs:
    stack: Stack
    keys: ServiceKeys
    balancer_label: pulumi.Input[str]
    target_labels: Sequence[pulumi.Input[str]]


class Scaling:
    """Autoscaling of a service, as parts of its component."""

    def __init__(self, name: str, args: ScalingArgs, service: Service) -> None:
        self._name = name
        self._child = pulumi.ResourceOptions(parent=service)
        keys = args.keys
        self._target = aws.appautoscaling.Target(
            name,
            service_namespace="ecs",
            scalable_dimension="ecs:service:DesiredCount",
            resource_id=pulumi.Output.format(
                "service/{}/{}", service.cluster.name, service.service.name
            ),
            min_capacity=keys.min_tasks,
            max_capacity=keys.max_tasks,
            opts=pulumi.ResourceOptions(
                parent=service,
                # The clock moves them; from then on they are the schedule's.
                ignore_changes=["minCapacity", "maxCapacity"] if keys.schedule else None,
            ),
        )
        self._track(
            "cpu",
            keys.cpu_target,
            predefined_metric_specification={
                "predefined_metric_type": "ECSServiceAverageCPUUtilization"
            },
        )
        self._track(
            "requests",
            keys.requests_per_target,
            customized_metric_specification={"metrics": _requests(args)},
        )
        self._track(
            "streams",
            keys.streams_per_task,
            customized_metric_specification={
                "namespace": NAMESPACE,
                "metric_name": OPEN_STREAMS,
                # Every task reports its own, so the average is what one task carries.
                "statistic": "Average",
                "dimensions": [{"name": DIMENSION, "value": args.stack.name}],
            },
        )
        for place, step in enumerate(keys.schedule):
            aws.appautoscaling.ScheduledAction(
                f"{name}-{place}",
                service_namespace=self._target.service_namespace,
                scalable_dimension=self._target.scalable_dimension,
                resource_id=self._target.resource_id,
                schedule=step.cron,
                timezone=step.timezone,
                scalable_target_action={
                    "min_capacity": step.min_tasks,
                    "max_capacity": step.max_tasks,
                },
                opts=self._child,
            )

    def _track(self, what: str, target_value: int, **metric: Any) -> None:
        aws.appautoscaling.Policy(
            f"{self._name}-{what}",
            policy_type="TargetTrackingScaling",
            service_namespace=self._target.service_namespace,
            scalable_dimension=self._target.scalable_dimension,
            resource_id=self._target.resource_id,
            target_tracking_scaling_policy_configuration=cast(
                aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationArgsDict,
                {
                    "target_value": target_value,
                    **metric,
                    "scale_out_cooldown": COOLDOWN_SECONDS,
                    "scale_in_cooldown": COOLDOWN_SECONDS,
                },
            ),
            opts=self._child,
        )


def _requests(args: ScalingArgs) -> list[dict[str, Any]]:
    """Requests a minute and task, and 0 where nobody asks.

    The predefined metric has no data then, and tasks go only when every policy agrees. Of two
    target groups, the one out of use adds nothing.
    """
    metrics = [
        {
            "id": f"m{place}",
            "metric_stat": {
                "metric": {
                    "namespace": "AWS/ApplicationELB",
                    "metric_name": "RequestCountPerTarget",
                    "dimensions": [
                        {"name": "LoadBalancer", "value": args.balancer_label},
                        {"name": "TargetGroup", "value": label},
                    ],
                },
                "stat": "Sum",
            },
            "return_data": False,
        }
        for place, label in enumerate(args.target_labels)
    ]
    filled = " + ".join(f"FILL({metric['id']}, 0)" for metric in metrics)
    sum = {"id": "requests", "label": "requests", "expression": filled, "return_data": True}
    return [*metrics, sum]

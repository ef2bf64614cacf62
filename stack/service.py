"""The service on Fargate: how many tasks, how they are replaced, when they grow in number.

A deployment is rolling: new tasks must be healthy before old ones go, and it is rolled back by
the circuit breaker, or by the alarms that tell of broken answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from bff.metric_names import DIMENSION, NAMESPACE, OPEN_STREAMS
from bff.settings import DEFAULT_PORT
from stack.balancer import Balancer
from stack.config import Stack
from stack.keys import ServiceKeys
from stack.task import CONTAINER

COOLDOWN_SECONDS = 60
START_GRACE_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class ServiceArgs:
    stack: Stack
    keys: ServiceKeys
    task_definition_arn: pulumi.Input[str]
    balancer: Balancer
    subnet_ids: pulumi.Input[Sequence[str]]
    group_id: pulumi.Input[str]
    rollback_alarms: Sequence[pulumi.Input[str]]


class Service(pulumi.ComponentResource):
    """A cluster with one service, scaled on CPU, requests and open streams."""

    def __init__(
        self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("bff:stack:Service", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        cluster = aws.ecs.Cluster(
            name,
            name=args.stack.name,
            settings=[{"name": "containerInsights", "value": "enhanced"}],
            opts=self._child,
        )
        service = aws.ecs.Service(
            name,
            name=args.stack.name,
            cluster=cluster.arn,
            task_definition=args.task_definition_arn,
            launch_type="FARGATE",
            platform_version="1.4.0",
            desired_count=args.keys.min_tasks,
            network_configuration={
                "subnets": args.subnet_ids,
                "security_groups": [args.group_id],
                "assign_public_ip": False,
            },
            load_balancers=[
                {
                    "target_group_arn": args.balancer.target_group.arn,
                    "container_name": CONTAINER,
                    "container_port": DEFAULT_PORT,
                }
            ],
            health_check_grace_period_seconds=START_GRACE_SECONDS,
            deployment_controller={"type": "ECS"},
            deployment_minimum_healthy_percent=100,
            deployment_maximum_percent=200,
            deployment_circuit_breaker={"enable": True, "rollback": True},
            alarms={"alarm_names": args.rollback_alarms, "enable": True, "rollback": True},
            availability_zone_rebalancing="ENABLED",
            enable_ecs_managed_tags=True,
            propagate_tags="SERVICE",
            wait_for_steady_state=True,  # `pulumi up` fails when the deployment does
            opts=pulumi.ResourceOptions(
                parent=self,
                # A service is refused while its target group has no listener.
                depends_on=args.balancer.listeners,
                ignore_changes=["desiredCount"],  # autoscaling's
            ),
        )
        self.cluster_arn = cluster.arn
        self.service_arn = service.arn
        self._scaling(args, cluster, service)
        self.register_outputs({})

    def _scaling(
        self, args: ServiceArgs, cluster: aws.ecs.Cluster, service: aws.ecs.Service
    ) -> None:
        target = aws.appautoscaling.Target(
            self._name,
            service_namespace="ecs",
            scalable_dimension="ecs:service:DesiredCount",
            resource_id=pulumi.Output.format("service/{}/{}", cluster.name, service.name),
            min_capacity=args.keys.min_tasks,
            max_capacity=args.keys.max_tasks,
            opts=self._child,
        )
        self._track(
            "cpu",
            target,
            {
                "target_value": args.keys.cpu_target,
                "predefined_metric_specification": {
                    "predefined_metric_type": "ECSServiceAverageCPUUtilization"
                },
            },
        )
        self._track(
            "requests",
            target,
            {
                "target_value": args.keys.requests_per_target,
                "predefined_metric_specification": {
                    "predefined_metric_type": "ALBRequestCountPerTarget",
                    "resource_label": args.balancer.request_count_label,
                },
            },
        )
        self._track(
            "streams",
            target,
            {
                "target_value": args.keys.streams_per_task,
                "customized_metric_specification": {
                    "namespace": NAMESPACE,
                    "metric_name": OPEN_STREAMS,
                    # Every task reports its own, so the average is what one task carries.
                    "statistic": "Average",
                    "dimensions": [{"name": DIMENSION, "value": args.stack.name}],
                },
            },
        )

    def _track(
        self,
        what: str,
        target: aws.appautoscaling.Target,
        configuration: aws.appautoscaling.PolicyTargetTrackingScalingPolicyConfigurationArgsDict,
    ) -> None:
        aws.appautoscaling.Policy(
            f"{self._name}-{what}",
            policy_type="TargetTrackingScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            target_tracking_scaling_policy_configuration={
                **configuration,
                "scale_out_cooldown": COOLDOWN_SECONDS,
                "scale_in_cooldown": COOLDOWN_SECONDS,
            },
            opts=self._child,
        )

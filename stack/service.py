"""The service on Fargate: how many tasks, on what capacity, how they are replaced.

A rolling deployment starts new tasks beside the old ones; the other strategies shift traffic
between two target groups, which ECS does itself. The circuit breaker and the alarms that tell of
our own mistakes turn each of them back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_aws as aws

from bff.settings import DEFAULT_PORT, Settings
from stack.balancer import Balancer
from stack.config import Stack
from stack.keys import ServiceKeys
from stack.live import Live
from stack.roles import Grant, allow, make_role
from stack.task import CONTAINER, Task

START_GRACE_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class ServiceArgs:
    stack: Stack
    keys: ServiceKeys
    settings: Settings
    live: Live
    task: Task
    balancer: Balancer
    deregistration_delay_seconds: int
    subnet_ids: pulumi.Input[Sequence[str]]
    group_id: pulumi.Input[str]
    after: Sequence[pulumi.Resource]
    """What tasks need from their first second on."""
    rollback_alarms: Sequence[pulumi.Input[str]]


class Service(pulumi.ComponentResource):
    """A cluster with one service."""

    def __init__(
        self, name: str, args: ServiceArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("bff:stack:Service", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        keys = args.keys
        after: list[pulumi.Resource] = [*args.balancer.listeners, *args.after]
        cluster = aws.ecs.Cluster(
            name,
            name=args.stack.name,
            settings=[{"name": "containerInsights", "value": "enhanced"}],
            configuration=self._exec(args.task),
            opts=self._child,
        )
        if keys.capacity != "fargate":
            after.append(
                aws.ecs.ClusterCapacityProviders(
                    name,
                    cluster_name=cluster.name,
                    capacity_providers=["FARGATE", "FARGATE_SPOT"],
                    opts=self._child,
                )
            )
        strategies = _strategies(keys)
        service = aws.ecs.Service(
            name,
            name=args.stack.name,
            cluster=cluster.arn,
            task_definition=args.task.definition.arn,
            launch_type=None if strategies else "FARGATE",
            capacity_provider_strategies=cast(Any, strategies),
            # Without it the provider would make the service anew when the strategy changes.
            force_new_deployment=True if strategies else None,
            platform_version="1.4.0",
            desired_count=keys.min_tasks,
            network_configuration={
                "subnets": args.subnet_ids,
                "security_groups": [args.group_id],
                "assign_public_ip": False,
            },
            load_balancers=[cast(Any, self._target(args, after))],
            health_check_grace_period_seconds=START_GRACE_SECONDS,
            deployment_controller={"type": "ECS"},
            deployment_configuration=_strategy(keys),
            deployment_minimum_healthy_percent=100,
            deployment_maximum_percent=200,
            deployment_circuit_breaker={"enable": True, "rollback": True},
            alarms={"alarm_names": args.rollback_alarms, "enable": True, "rollback": True},
            availability_zone_rebalancing="ENABLED",
            enable_ecs_managed_tags=True,
            enable_execute_command=True if args.task.exec_log else None,
            propagate_tags="SERVICE",
            wait_for_steady_state=True,  # `pulumi up` fails when the deployment does
            opts=pulumi.ResourceOptions(
                parent=self,
                # A service is refused while its target group has no listener.
                depends_on=after,
                ignore_changes=[
                    "desiredCount",  # autoscaling's
                    # ECS has the groups change places, and a refresh must not change them back.
                    *(["loadBalancers"] if args.balancer.rule_stays else []),
                ],
                custom_timeouts=_timeouts(args),
            ),
        )
        self.cluster = cluster
        self.service = service
        self.register_outputs({})

    def _target(self, args: ServiceArgs, after: list[pulumi.Resource]) -> dict[str, Any]:
        """Where the tasks are registered; which of two groups is in use is ECS's to say."""
        balancer = args.balancer
        target: dict[str, Any] = {
            "target_group_arn": balancer.target_group.arn,
            "container_name": CONTAINER,
            "container_port": DEFAULT_PORT,
        }
        if balancer.green is None or balancer.rule is None:
            return target
        blue, green = balancer.target_group.arn, balancer.green.arn
        in_use = args.live.target_group
        swapped = pulumi.Output.all(blue, green).apply(
            lambda both: both[::-1] if in_use == both[1] else both
        )
        role, policy = self._shifting_role(args)
        after.append(policy)
        target["target_group_arn"] = swapped[0]
        target["advanced_configuration"] = {
            "alternate_target_group_arn": swapped[1],
            "production_listener_rule": balancer.rule.arn,
            "role_arn": role.arn,
        }
        return target

    def _shifting_role(self, args: ServiceArgs) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        """https://docs.aws.amazon.com/AmazonECS/latest/developerguide/AmazonECSInfrastructureRolePolicyForLoadBalancers.html"""
        balancer = args.balancer
        assert balancer.green is not None
        assert balancer.rule is not None
        elb = "elasticloadbalancing"
        name = f"{self._name}-shift"
        role = make_role(
            name, "ecs.amazonaws.com", "ECS shifts traffic between tasks", args.stack, self._child
        )
        grants = [
            Grant(
                actions=tuple(
                    f"{elb}:Describe{what}"
                    for what in ("Listeners", "Rules", "TargetGroups", "TargetHealth")
                ),
                resources=("*",),  # they take no resource
            ),
            Grant(
                actions=(f"{elb}:ModifyListener", f"{elb}:ModifyRule"),
                resources=(
                    *(listener.arn for listener in balancer.listeners),
                    balancer.rule.arn,
                ),
            ),
            Grant(
                actions=(f"{elb}:DeregisterTargets", f"{elb}:RegisterTargets"),
                resources=(balancer.target_group.arn, balancer.green.arn),
            ),
        ]
        return role, allow(name, role, grants, self._child)

    def _exec(self, task: Task) -> aws.ecs.ClusterConfigurationArgsDict | None:
        if task.exec_log is None:
            return None
        return {
            "execute_command_configuration": {
                "logging": "OVERRIDE",
                "log_configuration": {"cloud_watch_log_group_name": task.exec_log.name},
            }
        }


def _strategies(keys: ServiceKeys) -> list[dict[str, Any]] | None:
    """None for the launch type alone."""
    match keys.capacity:
        case "fargate":
            return None
        case "spot":
            return [{"capacity_provider": "FARGATE_SPOT", "weight": 1}]
        case "mixed":
            # What must always run is on demand; what comes on top may go away again.
            base = {"capacity_provider": "FARGATE", "base": keys.min_tasks, "weight": 1}
            return [base, {"capacity_provider": "FARGATE_SPOT", "weight": 3}]


def _strategy(keys: ServiceKeys) -> aws.ecs.ServiceDeploymentConfigurationArgsDict | None:
    """https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html"""
    bake = str(keys.bake_minutes)
    match keys.deployment:
        case "rolling":
            return None
        case "blueGreen":
            return {"strategy": "BLUE_GREEN", "bake_time_in_minutes": bake}
        case "linear":
            return {
                "strategy": "LINEAR",
                "bake_time_in_minutes": bake,
                "linear_configuration": {
                    "step_percent": keys.step_percent,
                    "step_bake_time_in_minutes": bake,
                },
            }
        case "canary":
            return {
                "strategy": "CANARY",
                "bake_time_in_minutes": bake,
                "canary_configuration": {
                    "canary_percent": keys.canary_percent,
                    "canary_bake_time_in_minutes": bake,
                },
            }


def _timeouts(args: ServiceArgs) -> pulumi.CustomTimeouts | None:
    """A deployment waits for protected runs, and for its steps to bake; so may an end."""
    keys = args.keys
    steps = math.ceil(100 / keys.step_percent) if keys.deployment == "linear" else 1
    baking = keys.bake_minutes * (steps + 1) if keys.shifts_traffic else 0
    running = args.settings.agent_streaming_timeout_seconds / 60
    draining = (args.deregistration_delay_seconds + 120) / 60
    minutes = math.ceil(20 + baking + running + draining)
    return pulumi.CustomTimeouts(create="30m", update=f"{minutes}m", delete=f"{minutes}m")

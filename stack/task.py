"""What runs: one container, what it is told, and what it may do.

The variables are `bff.settings`'; a test feeds them to `Settings.load`. Secrets reach the container
through the execution role, which the container itself does not have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from bff.settings import DEFAULT_PORT, STOP_GRACE_SECONDS, Settings
from stack.config import Stack
from stack.image import Image
from stack.keys import ECR_IMAGE, Architecture, TaskKeys
from stack.storage import Grant

CONTAINER = "bff"
DRAIN_SECONDS = Settings().drain_timeout_seconds
STOP_TIMEOUT_SECONDS = math.ceil(DRAIN_SECONDS + STOP_GRACE_SECONDS) + 6
"""From SIGTERM to SIGKILL, with room for a slow exit; Fargate allows 120."""
OPEN_FILES = 65_536
"""A stream has two connections: the client's and the agent's."""
HEALTH_CHECK = (
    "import http.client as h;"
    f"c=h.HTTPConnection('127.0.0.1',{DEFAULT_PORT},timeout=4);"
    "c.request('GET','/health');"
    "raise SystemExit(c.getresponse().status!=200)"
)
USER = "10001:10001"
"""The image's own user, said again so that an image cannot say otherwise."""


@dataclass(frozen=True, kw_only=True)
class TaskArgs:
    stack: Stack
    keys: TaskKeys
    image: Image
    architecture: Architecture
    environment: Mapping[str, pulumi.Input[str]]
    secret_arns: Mapping[str, pulumi.Input[str]]
    grants: Sequence[Grant]


class Task(pulumi.ComponentResource):
    """A task definition with its two roles and its log group."""

    def __init__(
        self, name: str, args: TaskArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("bff:stack:Task", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        self._account = aws.get_caller_identity_output(
            opts=pulumi.InvokeOptions(parent=self)
        ).account_id
        self.log_group = aws.cloudwatch.LogGroup(
            name,
            name=f"/{args.stack.name}",
            retention_in_days=args.stack.log_retention_days,
            opts=self._child,
        )
        may_start = self._role("execution", "Starts the tasks: image, secrets, logs")
        may_call = self._role("task", "What the service itself may do")
        allowed = [
            self._allow("execution", may_start, self._starting(args)),
            self._allow("task", may_call, args.grants),
        ]
        self.definition = aws.ecs.TaskDefinition(
            name,
            family=args.stack.name,
            requires_compatibilities=["FARGATE"],
            network_mode="awsvpc",
            cpu=str(args.keys.cpu),
            memory=str(args.keys.memory),
            runtime_platform={
                "operating_system_family": "LINUX",
                "cpu_architecture": {"arm64": "ARM64", "amd64": "X86_64"}[args.architecture],
            },
            execution_role_arn=may_start.arn,
            task_role_arn=may_call.arn,
            container_definitions=pulumi.Output.json_dumps([self._container(args)]),
            # Tasks that start before they may read their secrets fail, and count against the
            # deployment.
            opts=pulumi.ResourceOptions(parent=self, depends_on=allowed),
        )
        self.register_outputs({"arn": self.definition.arn})

    def _container(self, args: TaskArgs) -> dict[str, Any]:
        return {
            "name": CONTAINER,
            "image": args.image.reference,
            "essential": True,
            "user": USER,
            "readonlyRootFilesystem": True,
            "linuxParameters": {"capabilities": {"drop": ["ALL"]}},
            "ulimits": [{"name": "nofile", "softLimit": OPEN_FILES, "hardLimit": OPEN_FILES}],
            "portMappings": [{"containerPort": DEFAULT_PORT, "protocol": "tcp"}],
            "environment": [
                {"name": name, "value": value} for name, value in sorted(args.environment.items())
            ],
            "secrets": [
                {"name": name, "valueFrom": arn} for name, arn in sorted(args.secret_arns.items())
            ],
            "stopTimeout": STOP_TIMEOUT_SECONDS,
            "healthCheck": {
                "command": ["CMD", "python", "-c", HEALTH_CHECK],
                "interval": 30,
                "timeout": 5,
                "retries": 3,
                "startPeriod": 30,
            },
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": self.log_group.name,
                    "awslogs-region": args.stack.region,
                    "awslogs-stream-prefix": CONTAINER,
                    # A slow log must not stop the event loop.
                    "mode": "non-blocking",
                    "max-buffer-size": "25m",
                },
            },
        }

    def _starting(self, args: TaskArgs) -> list[Grant]:
        pull = (
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:GetDownloadUrlForLayer",
        )
        repository = pulumi.Output.all(args.image.reference, args.image.repository_arn).apply(
            lambda both: _repository_of(*both)
        )
        return [
            Grant(actions=("ecr:GetAuthorizationToken",), resources=("*",)),  # takes no resource
            Grant(actions=pull, resources=(repository,)),
            Grant(
                actions=("logs:CreateLogStream", "logs:PutLogEvents"),
                resources=(pulumi.Output.format("{}:*", self.log_group.arn),),
            ),
            Grant(
                actions=("secretsmanager:GetSecretValue",),
                resources=tuple(arn for _, arn in sorted(args.secret_arns.items())),
            ),
        ]

    def _role(self, kind: str, description: str) -> aws.iam.Role:
        return aws.iam.Role(
            f"{self._name}-{kind}",
            description=description,
            assume_role_policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Action": "sts:AssumeRole",
                            "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                            "Condition": {"StringEquals": {"aws:SourceAccount": self._account}},
                        }
                    ],
                }
            ),
            opts=self._child,
        )

    def _allow(self, kind: str, role: aws.iam.Role, grants: Sequence[Grant]) -> aws.iam.RolePolicy:
        return aws.iam.RolePolicy(
            f"{self._name}-{kind}",
            role=role.id,
            policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Action": sorted(grant.actions),
                            "Resource": list(grant.resources),
                        }
                        for grant in grants
                    ],
                }
            ),
            opts=self._child,
        )


def _repository_of(image: str, own: str) -> str:
    """The ARN of the repository that the image lies in; ours, unless another account's or name."""
    found = ECR_IMAGE.fullmatch(image)
    if found is None:
        return own
    partition = own.split(":")[1]
    return (
        f"arn:{partition}:ecr:{found['region']}:{found['account']}:repository/{found['repository']}"
    )

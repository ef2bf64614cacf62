"""What runs: one container, what it is told, and what it may do.

The variables are `bff.settings`'; a test feeds them to `Settings.load`. Secrets reach the container
through the execution role, which the container itself does not have.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from bff.settings import DEFAULT_PORT, Settings
from stack.config import Stack
from stack.environment import stop_timeout_seconds
from stack.image import Image
from stack.keys import ECR_IMAGE, Architecture, TaskKeys
from stack.roles import Grant, allow, make_role

CONTAINER = "bff"
COLLECTOR = "collector"
COLLECTOR_IMAGE = (
    "public.ecr.aws/aws-observability/aws-otel-collector"
    "@sha256:8aa9ea5f67b8d318f7d6af24677e3c70f7098bc0631147cb5fa91addbe980b06"
)
"""v0.43.3, for both architectures. No registry was asked here: it is the digest that several public
repositories pin for that tag. docs/stack.md has the command that prints it, and a key instead."""
COLLECTOR_SETTINGS = {
    "receivers": {"otlp": {"protocols": {"http": {"endpoint": "127.0.0.1:4318"}}}},
    "exporters": {"awsxray": {}},
    "service": {"pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["awsxray"]}}},
}
XRAY_ACTIONS = (
    "xray:GetSamplingRules",
    "xray:GetSamplingStatisticSummaries",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
)
EXEC_ACTIONS = (
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
)
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
    settings: Settings
    partition: str
    image: Image
    architecture: Architecture
    environment: Mapping[str, pulumi.Input[str]]
    secret_arns: Mapping[str, pulumi.Input[str]]
    """Of the secrets that the stack made."""
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
        self.log_group = self._log(name, args.stack.name, args.stack)
        self.exec_log = (
            self._log(f"{name}-exec", f"{args.stack.name}-exec", args.stack)
            if args.keys.exec
            else None
        )
        secrets = {**args.secret_arns, **args.keys.secrets}
        if args.keys.otel and args.keys.otel.headers_secret:
            secrets["OTEL_EXPORTER_OTLP_HEADERS"] = args.keys.otel.headers_secret
        may_start = self._role("execution", "Starts the tasks: image, secrets, logs", args.stack)
        may_call = self._role("task", "What the service itself may do", args.stack)
        allowed = [
            allow(f"{name}-execution", may_start, self._starting(args, secrets), self._child),
            allow(f"{name}-task", may_call, [*args.grants, *self._calling(args)], self._child),
        ]
        containers = [self._container(args, secrets)]
        if args.keys.otel and args.keys.otel.xray:
            # Started before the service, and so stopped after it: the last spans are of its drain.
            containers[0]["dependsOn"] = [{"containerName": COLLECTOR, "condition": "START"}]
            containers.append(self._collector(args))
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
            container_definitions=pulumi.Output.json_dumps(containers),
            # What was deployed before can be deployed again.
            skip_destroy=True,
            # Tasks that start before they may read their secrets fail, and count against the
            # deployment.
            opts=pulumi.ResourceOptions(parent=self, depends_on=allowed),
        )
        self.register_outputs({"arn": self.definition.arn})

    def _container(
        self, args: TaskArgs, secrets: Mapping[str, pulumi.Input[str]]
    ) -> dict[str, Any]:
        linux: dict[str, Any] = {"capabilities": {"drop": ["ALL"]}}
        if args.keys.exec:
            linux["initProcessEnabled"] = True  # takes in what a session leaves behind
        return {
            "name": CONTAINER,
            "image": args.image.reference,
            "essential": True,
            "user": USER,
            # ECS Exec's agent writes beside the program.
            "readonlyRootFilesystem": not args.keys.exec,
            "linuxParameters": linux,
            "ulimits": [{"name": "nofile", "softLimit": OPEN_FILES, "hardLimit": OPEN_FILES}],
            "portMappings": [{"containerPort": DEFAULT_PORT, "protocol": "tcp"}],
            "environment": [
                {"name": name, "value": value} for name, value in sorted(args.environment.items())
            ],
            "secrets": [{"name": name, "valueFrom": arn} for name, arn in sorted(secrets.items())],
            "stopTimeout": stop_timeout_seconds(args.settings),
            "healthCheck": {
                "command": ["CMD", "python", "-c", HEALTH_CHECK],
                "interval": 30,
                "timeout": 5,
                "retries": 3,
                "startPeriod": 30,
            },
            "logConfiguration": self._logging(args.stack, CONTAINER),
        }

    def _collector(self, args: TaskArgs) -> dict[str, Any]:
        """https://aws-otel.github.io/docs/setup/ecs; the service goes on without it."""
        return {
            "name": COLLECTOR,
            "image": args.keys.collector_image or COLLECTOR_IMAGE,
            "essential": False,
            "readonlyRootFilesystem": True,
            "linuxParameters": {"capabilities": {"drop": ["ALL"]}},
            "memoryReservation": 64,
            "environment": [
                {"name": "AOT_CONFIG_CONTENT", "value": json.dumps(COLLECTOR_SETTINGS)},
                {"name": "AWS_REGION", "value": args.stack.region},
            ],
            "logConfiguration": self._logging(args.stack, COLLECTOR),
        }

    def _logging(self, stack: Stack, prefix: str) -> dict[str, Any]:
        return {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": self.log_group.name,
                "awslogs-region": stack.region,
                "awslogs-stream-prefix": prefix,
                # A slow log must not stop the event loop.
                "mode": "non-blocking",
                "max-buffer-size": "25m",
            },
        }

    def _calling(self, args: TaskArgs) -> list[Grant]:
        """What the task's own parts need, beside what the service calls."""
        grants = []
        if args.keys.protect_open_runs:
            tasks = pulumi.Output.format(
                "arn:{}:ecs:{}:{}:task/{}/*",
                args.partition,
                args.stack.region,
                self._account,
                args.stack.name,
            )
            actions = ("ecs:GetTaskProtection", "ecs:UpdateTaskProtection")
            grants.append(Grant(actions=actions, resources=(tasks,)))
        if args.keys.otel and args.keys.otel.xray:
            grants.append(Grant(actions=XRAY_ACTIONS, resources=("*",)))  # they take no resource
        if self.exec_log is not None:
            # They take no resource.
            grants.append(
                Grant(actions=(*EXEC_ACTIONS, "logs:DescribeLogGroups"), resources=("*",))
            )
            writing = ("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents")
            group = pulumi.Output.format("{}:*", self.exec_log.arn)
            grants.append(Grant(actions=writing, resources=(group,)))
        return grants

    def _starting(self, args: TaskArgs, secrets: Mapping[str, pulumi.Input[str]]) -> list[Grant]:
        pull = (
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:GetDownloadUrlForLayer",
        )
        repository = pulumi.Output.all(args.image.reference, args.image.repository_arn).apply(
            lambda both: _repository_of(*both)
        )
        parameters = sorted(
            arn for arn in secrets.values() if isinstance(arn, str) and ":ssm:" in arn
        )
        others = [arn for _, arn in sorted(secrets.items()) if arn not in parameters]
        repositories: list[pulumi.Input[str]] = [repository]
        if args.keys.collector_image and ECR_IMAGE.fullmatch(args.keys.collector_image):
            repositories.append(
                args.image.repository_arn.apply(
                    functools.partial(_repository_of, args.keys.collector_image)
                )
            )
        grants = [
            Grant(actions=("ecr:GetAuthorizationToken",), resources=("*",)),  # takes no resource
            Grant(actions=pull, resources=tuple(repositories)),
            Grant(
                actions=("logs:CreateLogStream", "logs:PutLogEvents"),
                resources=(pulumi.Output.format("{}:*", self.log_group.arn),),
            ),
            Grant(
                actions=("secretsmanager:GetSecretValue",),
                resources=tuple(name for arn in others for name in _whole_secret(arn)),
            ),
        ]
        if parameters:
            grants.append(Grant(actions=("ssm:GetParameters",), resources=tuple(parameters)))
        given = [arn for arn in secrets.values() if isinstance(arn, str)]
        if given:
            # Where the operator's secrets have keys of their own, which only KMS can tell.
            parts = [arn.split(":") for arn in given]
            services = sorted({f"{service}.{region}" for _, _, service, region, *_ in parts})
            keys = sorted({":".join([*part[:2], "kms", *part[3:5]]) for part in parts})
            suffix = "amazonaws.com.cn" if args.partition == "aws-cn" else "amazonaws.com"
            grants.append(
                Grant(
                    actions=("kms:Decrypt",),
                    resources=tuple(f"{key}:key/*" for key in keys),
                    condition={
                        "StringEquals": {
                            "kms:ViaService": [f"{service}.{suffix}" for service in services]
                        }
                    },
                )
            )
        return grants

    def _log(self, name: str, group: str, stack: Stack) -> aws.cloudwatch.LogGroup:
        return aws.cloudwatch.LogGroup(
            name,
            name=f"/{group}",
            retention_in_days=stack.log_retention_days,
            opts=self._child,
        )

    def _role(self, kind: str, description: str, stack: Stack) -> aws.iam.Role:
        return make_role(
            f"{self._name}-{kind}",
            "ecs-tasks.amazonaws.com",
            description,
            stack,
            self._child,
            account=self._account,
        )


def _whole_secret(arn: pulumi.Input[str]) -> list[pulumi.Input[str]]:
    """Without the JSON key and the version that ECS takes behind a secret's ARN.

    ECS also takes an ARN without the six characters that Secrets Manager adds, and IAM does not.
    """
    if not isinstance(arn, str):
        return [arn]
    whole = ":".join(arn.split(":")[:7])
    return [whole] if re.search(r"-[A-Za-z0-9]{6}$", whole) else [whole, f"{whole}-??????"]


def _repository_of(image: str, own: str) -> str:
    """The ARN of the repository that the image lies in; ours, unless another account's or name."""
    found = ECR_IMAGE.fullmatch(image)
    if found is None:
        return own
    partition = own.split(":")[1]
    return (
        f"arn:{partition}:ecr:{found['region']}:{found['account']}:repository/{found['repository']}"
    )

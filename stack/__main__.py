"""What one environment is made of. Pulumi runs this file; `deploy` is its table of contents."""

from __future__ import annotations

import sys
from pathlib import Path

import pulumi
import pulumi_aws as aws

# Pulumi puts stack/ on the path, not the project; an environment without it installed works too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bff.settings import Settings
from stack.alarms import Alarms, AlarmsArgs
from stack.balancer import Balancer, BalancerArgs
from stack.config import StackConfig
from stack.credentials import Credentials, CredentialsArgs
from stack.dashboard import Dashboard, DashboardArgs
from stack.environment import environment
from stack.firewall import Firewall, FirewallArgs
from stack.image import Image, ImageArgs
from stack.network import Network, NetworkArgs
from stack.service import Service, ServiceArgs
from stack.storage import Grant, Storage, StorageArgs
from stack.task import Task, TaskArgs

NAME = "bff"
"""Begins every logical name. To rename is to replace: never without an alias and a reason."""


def deploy() -> None:
    config = StackConfig.load()
    stack = config.stack
    if stack.prod and config.alarms.alarm_email is None:
        pulumi.log.warn(
            "alarmEmail is not set: no alarm reaches a person unless something else "
            "subscribes to the topic of the output alertsTopicArn"
        )
    provider = aws.Provider(
        "aws",
        region=stack.region,
        profile=config.profile,
        default_tags={
            "tags": {
                "Project": pulumi.get_project(),
                "Environment": stack.stack,
                "ManagedBy": "pulumi",
            }
        },
    )
    options = pulumi.ResourceOptions(providers=[provider])

    network = Network(
        NAME,
        NetworkArgs(
            stack=stack,
            keys=config.network,
            shared_cache=config.storage.shared_cache,
            https=config.domain.domain_name is not None,
        ),
        options,
    )
    image = Image(NAME, ImageArgs(stack=stack, keys=config.image), options)
    credentials = Credentials(NAME, CredentialsArgs(stack=stack), options)
    storage = Storage(
        NAME,
        StorageArgs(
            stack=stack,
            keys=config.storage,
            partition=config.agent.agent_runtime_arn.split(":")[1],
            cache_subnet_ids=network.cache_subnet_ids,
            cache_group_id=network.groups.cache,
        ),
        options,
    )
    balancer = Balancer(
        NAME,
        BalancerArgs(
            stack=stack,
            keys=config.balancer,
            domain=config.domain,
            vpc_id=network.vpc_id,
            subnet_ids=network.public_subnet_ids,
            group_id=network.groups.balancer,
        ),
        options,
    )
    if config.balancer.waf:
        Firewall(NAME, FirewallArgs(balancer_arn=balancer.arn), options)
    alarms = Alarms(
        NAME,
        AlarmsArgs(
            stack=stack,
            keys=config.alarms,
            balancer_label=balancer.label,
            target_label=balancer.target_label,
        ),
        options,
    )
    task = Task(
        NAME,
        TaskArgs(
            stack=stack,
            keys=config.task,
            image=image,
            architecture=config.image.architecture,
            environment=environment(
                config,
                proxies=network.balancer_cidrs,
                host=balancer.dns_name,
                history=storage.history,
                redis_url=storage.redis_url,
            ),
            secret_arns=credentials.arns,
            grants=[invoke(config.agent.agent_runtime_arn), storage.grant],
        ),
        options,
    )
    service = Service(
        NAME,
        ServiceArgs(
            stack=stack,
            keys=config.service,
            task_definition_arn=task.definition.arn,
            balancer=balancer,
            subnet_ids=network.private_subnet_ids,
            group_id=network.groups.tasks,
            rollback_alarms=alarms.rollback,
        ),
        options,
    )
    dashboard = Dashboard(
        NAME,
        DashboardArgs(
            stack=stack,
            balancer_label=balancer.label,
            target_label=balancer.target_label,
            log_group=task.log_group.name,
            alarm_arns=alarms.arns,
            streams_per_task=config.service.streams_per_task,
        ),
        options,
    )

    pulumi.export("serviceUrl", balancer.url)
    pulumi.export(
        "customDomain", config.domain.domain_name and f"https://{config.domain.domain_name}"
    )
    pulumi.export("loadBalancerDns", balancer.dns_name)
    pulumi.export("clusterArn", service.cluster_arn)
    pulumi.export("serviceArn", service.service_arn)
    pulumi.export("repositoryUrl", image.repository_url)
    pulumi.export("logGroup", task.log_group.name)
    pulumi.export("dashboardUrl", dashboard.url)
    pulumi.export("alertsTopicArn", alarms.topic_arn)
    pulumi.export("firstApiKey", credentials.first_api_key)
    pulumi.export("vpcId", network.vpc_id)
    pulumi.export("publicSubnetIds", network.public_subnet_ids)
    pulumi.export("privateSubnetIds", network.private_subnet_ids)


def invoke(runtime_arn: str) -> Grant:
    """The call is authorised against the runtime and against its endpoint, each by its own ARN."""
    return Grant(
        actions=("bedrock-agentcore:InvokeAgentRuntime", "bedrock-agentcore:StopRuntimeSession"),
        resources=(runtime_arn, f"{runtime_arn}/runtime-endpoint/{Settings().agent_qualifier}"),
    )


if __name__ == "__main__":
    deploy()

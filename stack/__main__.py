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
    if config.prod and config.alarm_email is None:
        pulumi.log.warn(
            "alarmEmail is not set: no alarm reaches a person unless something else "
            "subscribes to the topic of the output alertsTopicArn"
        )
    provider = aws.Provider(
        "aws",
        region=config.region,
        profile=config.profile,
        default_tags={
            "tags": {
                "Project": pulumi.get_project(),
                "Environment": config.stack,
                "ManagedBy": "pulumi",
            }
        },
    )
    options = pulumi.ResourceOptions(providers=[provider])

    network = Network(
        NAME,
        NetworkArgs(
            region=config.region,
            existing=config.existing_network,
            nat_gateways=config.nat_gateways,
            vpc_endpoints=config.vpc_endpoints,
            shared_cache=config.shared_cache,
            https=config.domain_name is not None,
            log_retention_days=config.log_retention_days,
        ),
        options,
    )
    image = Image(
        NAME,
        ImageArgs(
            repository=config.name,
            architecture=config.architecture,
            given=config.image,
            prod=config.prod,
        ),
        options,
    )
    credentials = Credentials(NAME, CredentialsArgs(prod=config.prod), options)
    storage = Storage(
        NAME,
        StorageArgs(
            memory_id=config.memory_id,
            agent_runtime_arn=config.agent_runtime_arn,
            region=config.region,
            cache_name=config.name if config.shared_cache else None,
            cache_subnet_ids=network.cache_subnet_ids,
            cache_group_id=network.groups.cache,
            prod=config.prod,
        ),
        options,
    )
    balancer = Balancer(
        NAME,
        BalancerArgs(
            vpc_id=network.vpc_id,
            subnet_ids=network.public_subnet_ids,
            group_id=network.groups.balancer,
            domain_name=config.domain_name,
            hosted_zone_name=config.hosted_zone_name,
            deregistration_delay_seconds=config.deregistration_delay_seconds,
            log_retention_days=config.log_retention_days,
            prod=config.prod,
        ),
        options,
    )
    if config.waf:
        Firewall(NAME, FirewallArgs(balancer_arn=balancer.arn), options)
    alarms = Alarms(
        NAME,
        AlarmsArgs(
            name=config.name,
            balancer_label=balancer.label,
            target_label=balancer.target_label,
            email=config.alarm_email,
        ),
        options,
    )
    task = Task(
        NAME,
        TaskArgs(
            name=config.name,
            region=config.region,
            image=image.reference,
            repository_arn=image.repository_arn,
            architecture=config.architecture,
            cpu=config.cpu,
            memory=config.memory,
            environment=environment(
                config,
                proxies=network.balancer_cidrs,
                host=balancer.dns_name,
                history=storage.history,
                redis_url=storage.redis_url,
            ),
            secret_arns=credentials.arns,
            grants=[invoke(config.agent_runtime_arn), storage.grant],
            log_retention_days=config.log_retention_days,
        ),
        options,
    )
    service = Service(
        NAME,
        ServiceArgs(
            name=config.name,
            task_definition_arn=task.definition.arn,
            balancer=balancer,
            subnet_ids=network.private_subnet_ids,
            group_id=network.groups.tasks,
            min_tasks=config.min_tasks,
            max_tasks=config.max_tasks,
            cpu_target=config.cpu_target,
            requests_per_target=config.requests_per_target,
            streams_per_task=config.streams_per_task,
            rollback_alarms=alarms.rollback,
        ),
        options,
    )
    dashboard = Dashboard(
        NAME,
        DashboardArgs(
            name=config.name,
            region=config.region,
            balancer_label=balancer.label,
            target_label=balancer.target_label,
            log_group=task.log_group.name,
            alarm_arns=alarms.arns,
            streams_per_task=config.streams_per_task,
        ),
        options,
    )

    pulumi.export("serviceUrl", balancer.url)
    pulumi.export("customDomain", config.domain_name and f"https://{config.domain_name}")
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

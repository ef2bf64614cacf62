"""What one environment is made of. Pulumi runs this file; `deploy` is its table of contents."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pulumi

# Pulumi puts stack/ on the path, not the project; an environment without it installed works too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bff.settings import Settings
from stack import config_rules
from stack.alarms import Alarms, AlarmsArgs
from stack.balancer import Balancer, BalancerArgs
from stack.config import StackConfig
from stack.credentials import Credentials, CredentialsArgs
from stack.dashboard import Dashboard, DashboardArgs
from stack.domain import DomainArgs
from stack.environment import environment
from stack.files import Files, FilesArgs
from stack.firewall import Firewall, FirewallArgs
from stack.image import Image, ImageArgs
from stack.network import Network, NetworkArgs
from stack.provider import make_provider
from stack.roles import Grant
from stack.scaling import Scaling, ScalingArgs
from stack.service import Service, ServiceArgs
from stack.storage import Storage, StorageArgs
from stack.task import Task, TaskArgs

NAME = "bff"
"""Begins every logical name. To rename is to replace: never without an alias and a reason."""


def deploy() -> None:
    config = StackConfig.load()
    stack = config.stack
    for warning in config_rules.warnings(config):
        pulumi.log.warn(warning)
    provider = make_provider("aws", config.provider, stack.tags)
    options = pulumi.ResourceOptions(providers=[provider])

    network = Network(
        NAME,
        NetworkArgs(
            stack=stack,
            keys=config.network,
            shared_cache=config.storage.shared_cache,
            https=config.domain.domain_name is not None,
            outgoing_ports=config.outgoing_ports,
            agentcore=config.calls_agentcore_here,
            parameters=config.task.has_parameters,
        ),
        options,
    )
    image = Image(NAME, ImageArgs(stack=stack, keys=config.image), options)
    credentials = Credentials(NAME, CredentialsArgs(stack=stack, primary=config.primary), options)
    storage = Storage(
        NAME,
        StorageArgs(
            stack=stack,
            keys=config.storage,
            primary=config.primary,
            partition=config.agent.partition,
            cache_subnet_ids=network.cache_subnet_ids,
            cache_group_id=network.groups.cache,
        ),
        options,
    )
    files = None
    if config.storage.files:
        files = Files(
            NAME,
            FilesArgs(
                stack=stack,
                retention_days=config.storage.files_retention_days,
                cors_origins=config.callers.cors_origins,
            ),
            options,
        )
    balancer = Balancer(
        NAME,
        BalancerArgs(
            stack=stack,
            keys=config.balancer,
            domain=DomainArgs(
                stack=stack,
                keys=config.domain,
                provider=config.provider,
                ipv6=config.network.ipv6,
            ),
            settings=config.settings,
            live=config.live,
            shifts_traffic=config.service.shifts_traffic,
            internal=config.network.internal,
            vpc_id=network.vpc_id,
            subnet_ids=network.balancer_subnet_ids,
            group_id=network.groups.balancer,
        ),
        options,
    )
    firewall = (
        Firewall(NAME, FirewallArgs(stack=stack, balancer_arn=balancer.arn), options)
        if config.balancer.waf
        else None
    )
    alarms = Alarms(
        NAME,
        AlarmsArgs(
            stack=stack,
            keys=config.alarms,
            balancer_label=balancer.label,
            target_labels=balancer.target_labels,
            least_tasks=config.service.min_tasks,
            most_tasks=config.service.most_tasks,
            table=storage.table,
            cache=storage.cache,
            firewall=firewall.metric_name if firewall else None,
        ),
        options,
    )
    task = Task(
        NAME,
        TaskArgs(
            stack=stack,
            keys=config.task,
            settings=config.settings,
            partition=config.agent.partition,
            image=image,
            architecture=config.image.architecture,
            environment=environment(
                config,
                proxies=network.balancer_cidrs,
                host=balancer.dns_name,
                history=storage.history,
                redis_url=storage.redis_url,
                files=files.url if files else None,
            ),
            secret_arns=credentials.arns,
            grants=[
                *invoke(config.agent.endpoints, config.settings),
                storage.grant,
                *(files.grants if files else ()),
            ],
        ),
        options,
    )
    service = Service(
        NAME,
        ServiceArgs(
            stack=stack,
            keys=config.service,
            settings=config.settings,
            live=config.live,
            task=task,
            balancer=balancer,
            deregistration_delay_seconds=config.balancer.deregistration_delay_seconds,
            subnet_ids=network.private_subnet_ids,
            group_id=network.groups.tasks,
            after=network.endpoints,
            rollback_alarms=alarms.rollback,
        ),
        options,
    )
    Scaling(
        NAME,
        ScalingArgs(
            stack=stack,
            keys=config.service,
            balancer_label=balancer.label,
            target_labels=balancer.target_labels,
        ),
        service,
    )
    dashboard = Dashboard(
        NAME,
        DashboardArgs(
            stack=stack,
            balancer_label=balancer.label,
            target_labels=balancer.target_labels,
            log_group=task.log_group.name,
            alarm_arns=alarms.arns,
            streams_per_task=config.service.streams_per_task,
            table=storage.table,
            cache=storage.cache,
            firewall=firewall.metric_name if firewall else None,
        ),
        options,
    )

    name = config.domain.domain_name
    pulumi.export("dnsTarget", balancer.dns_name)
    pulumi.export("serviceUrl", balancer.url)
    pulumi.export("customDomain", name and f"https://{name}")
    pulumi.export("loadBalancerDns", balancer.dns_name)
    pulumi.export("clusterArn", service.cluster.arn)
    pulumi.export("serviceArn", service.service.arn)
    pulumi.export("repositoryUrl", image.repository_url)
    pulumi.export("logGroup", task.log_group.name)
    pulumi.export("dashboardUrl", dashboard.url)
    pulumi.export("alertsTopicArn", alarms.topic_arn)
    pulumi.export("firstApiKey", credentials.first_api_key)
    pulumi.export("vpcId", network.vpc_id)
    pulumi.export("publicSubnetIds", network.public_subnet_ids)
    pulumi.export("privateSubnetIds", network.private_subnet_ids)
    if files:
        pulumi.export("filesBucket", files.bucket)


def invoke(endpoints: Sequence[tuple[str, str]], settings: Settings) -> list[Grant]:
    """A call is authorised against the runtime and against its endpoint, each by its own ARN.

    One statement for all of them: a role's policies may not be long. None where callers' own
    tokens are sent on, which no role is asked for.
    """
    if settings.agent_auth == "bearer":
        return []
    actions = ["bedrock-agentcore:InvokeAgentRuntime", "bedrock-agentcore:StopRuntimeSession"]
    if settings.agent_user_id != "off":
        actions.append("bedrock-agentcore:InvokeAgentRuntimeForUser")
    arns = [(arn, f"{arn}/runtime-endpoint/{qualifier}") for arn, qualifier in endpoints]
    resources = tuple(dict.fromkeys(arn for pair in arns for arn in pair))
    return [Grant(actions=tuple(actions), resources=resources)]


if __name__ == "__main__":
    deploy()

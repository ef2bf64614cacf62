"""What the deploying role may do, held against what the fullest stack plans."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import botocore.session
import pytest

from tests.stack.planner import ROOT, Plan, make_plan

POLICY = json.loads((ROOT / "bootstrap/deploy-permissions.json").read_text())

FULL: dict[str, Any] = {
    "alarmEmail": "oncall@example.com",
    "budgetUsd": 300,
    "capacity": "mixed",
    "corsOrigins": ["https://app.example.com"],
    "deployment": "canary",
    "exec": True,
    "files": True,
    "ipv6": True,
    "otel": "xray",
    "schedule": [{"cron": "0 7 * * 1", "timezone": "UTC", "minTasks": 2, "maxTasks": 4}],
    "secondary": "prod-eu-west-1",
}

# Each type's own calls to be made, read, changed and removed, by botocore's names of the service.
CALLS: Mapping[str, tuple[str, ...]] = {
    "acm/certificate:Certificate": (
        *("acm:RequestCertificate", "acm:DescribeCertificate", "acm:DeleteCertificate"),
        *("acm:AddTagsToCertificate", "acm:ListTagsForCertificate"),
    ),
    "acm/certificateValidation:CertificateValidation": ("acm:DescribeCertificate",),
    "appautoscaling/policy:Policy": (
        *(
            "application-autoscaling:PutScalingPolicy",
            "application-autoscaling:DeleteScalingPolicy",
        ),
        "application-autoscaling:DescribeScalingPolicies",
    ),
    "appautoscaling/scheduledAction:ScheduledAction": (
        "application-autoscaling:PutScheduledAction",
        "application-autoscaling:DescribeScheduledActions",
        "application-autoscaling:DeleteScheduledAction",
    ),
    "appautoscaling/target:Target": (
        "application-autoscaling:RegisterScalableTarget",
        "application-autoscaling:DescribeScalableTargets",
        "application-autoscaling:DeregisterScalableTarget",
    ),
    "budgets/budget:Budget": ("budgets:ModifyBudget", "budgets:ViewBudget"),
    "cloudwatch/dashboard:Dashboard": (
        *("cloudwatch:PutDashboard", "cloudwatch:GetDashboard", "cloudwatch:DeleteDashboards"),
    ),
    "cloudwatch/logGroup:LogGroup": (
        *("logs:CreateLogGroup", "logs:DescribeLogGroups", "logs:DeleteLogGroup"),
        *("logs:PutRetentionPolicy", "logs:ListTagsForResource", "logs:TagResource"),
    ),
    "cloudwatch/metricAlarm:MetricAlarm": (
        *("cloudwatch:PutMetricAlarm", "cloudwatch:DescribeAlarms", "cloudwatch:DeleteAlarms"),
        *("cloudwatch:ListTagsForResource", "cloudwatch:TagResource", "cloudwatch:UntagResource"),
    ),
    "dynamodb/table:Table": (
        *("dynamodb:CreateTable", "dynamodb:DescribeTable", "dynamodb:UpdateTable"),
        *("dynamodb:DeleteTable", "dynamodb:UpdateTimeToLive", "dynamodb:DescribeTimeToLive"),
        *("dynamodb:UpdateContinuousBackups", "dynamodb:DescribeContinuousBackups"),
        *("dynamodb:TagResource", "dynamodb:ListTagsOfResource"),
    ),
    "dynamodb/tableReplica:TableReplica": ("dynamodb:UpdateTable", "dynamodb:DescribeTable"),
    "ec2/defaultSecurityGroup:DefaultSecurityGroup": (
        "ec2:DescribeSecurityGroups",
        "ec2:RevokeSecurityGroupIngress",
        "ec2:RevokeSecurityGroupEgress",
    ),
    "ec2/flowLog:FlowLog": ("ec2:CreateFlowLogs", "ec2:DescribeFlowLogs", "ec2:DeleteFlowLogs"),
    "ec2/route:Route": ("ec2:CreateRoute", "ec2:ReplaceRoute", "ec2:DeleteRoute"),
    "ec2/routeTable:RouteTable": (
        *("ec2:CreateRouteTable", "ec2:DescribeRouteTables", "ec2:DeleteRouteTable"),
    ),
    "ec2/routeTableAssociation:RouteTableAssociation": (
        "ec2:AssociateRouteTable",
        "ec2:DisassociateRouteTable",
        "ec2:ReplaceRouteTableAssociation",
    ),
    "ec2/securityGroup:SecurityGroup": (
        *("ec2:CreateSecurityGroup", "ec2:DescribeSecurityGroups", "ec2:DeleteSecurityGroup"),
        "ec2:CreateTags",
    ),
    "ec2/subnet:Subnet": (
        *("ec2:CreateSubnet", "ec2:DescribeSubnets", "ec2:ModifySubnetAttribute"),
        *("ec2:DeleteSubnet", "ec2:AssociateSubnetCidrBlock"),
    ),
    "ec2/vpcEndpoint:VpcEndpoint": (
        *("ec2:CreateVpcEndpoint", "ec2:DescribeVpcEndpoints", "ec2:ModifyVpcEndpoint"),
        *("ec2:DeleteVpcEndpoints", "ec2:DescribePrefixLists", "ec2:DescribeVpcEndpointServices"),
    ),
    "ec2/vpcIpv6CidrBlockAssociation:VpcIpv6CidrBlockAssociation": (
        *("ec2:AssociateVpcCidrBlock", "ec2:DisassociateVpcCidrBlock", "ec2:DescribeVpcs"),
    ),
    "ecr/lifecyclePolicy:LifecyclePolicy": (
        *("ecr:PutLifecyclePolicy", "ecr:GetLifecyclePolicy", "ecr:DeleteLifecyclePolicy"),
    ),
    "ecr/repository:Repository": (
        *("ecr:CreateRepository", "ecr:DescribeRepositories", "ecr:DeleteRepository"),
        *("ecr:TagResource", "ecr:PutImageScanningConfiguration", "ecr:ListTagsForResource"),
    ),
    "ecs/cluster:Cluster": (
        *("ecs:CreateCluster", "ecs:DescribeClusters", "ecs:UpdateCluster", "ecs:DeleteCluster"),
        "ecs:TagResource",
    ),
    "ecs/clusterCapacityProviders:ClusterCapacityProviders": ("ecs:PutClusterCapacityProviders",),
    "ecs/service:Service": (
        *("ecs:CreateService", "ecs:DescribeServices", "ecs:UpdateService", "ecs:DeleteService"),
        *("ecs:ListServiceDeployments", "ecs:DescribeServiceDeployments"),
        "ecs:DescribeServiceRevisions",
    ),
    "ecs/taskDefinition:TaskDefinition": (
        *("ecs:RegisterTaskDefinition", "ecs:DescribeTaskDefinition"),
        "ecs:DeregisterTaskDefinition",
    ),
    "elasticache/serverlessCache:ServerlessCache": (
        "elasticache:CreateServerlessCache",
        "elasticache:DescribeServerlessCaches",
        "elasticache:ModifyServerlessCache",
        "elasticache:DeleteServerlessCache",
    ),
    "iam/role:Role": (
        *("iam:CreateRole", "iam:GetRole", "iam:UpdateRole", "iam:DeleteRole", "iam:TagRole"),
        *("iam:UpdateAssumeRolePolicy", "iam:PutRolePermissionsBoundary", "iam:ListRolePolicies"),
        *("iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole", "iam:PassRole"),
    ),
    "iam/rolePolicy:RolePolicy": (
        *("iam:PutRolePolicy", "iam:GetRolePolicy", "iam:DeleteRolePolicy"),
    ),
    "lb/listener:Listener": (
        "elasticloadbalancing:CreateListener",
        "elasticloadbalancing:ModifyListenerAttributes",
    ),
    "lb/listenerRule:ListenerRule": ("elasticloadbalancing:CreateRule",),
    "lb/loadBalancer:LoadBalancer": (
        "elasticloadbalancing:CreateLoadBalancer",
        "elasticloadbalancing:SetSubnets",
    ),
    "lb/targetGroup:TargetGroup": ("elasticloadbalancing:CreateTargetGroup",),
    "route53/healthCheck:HealthCheck": (
        *("route53:CreateHealthCheck", "route53:GetHealthCheck", "route53:UpdateHealthCheck"),
        *("route53:DeleteHealthCheck", "route53:ChangeTagsForResource"),
    ),
    "route53/record:Record": (
        *("route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets"),
        *("route53:GetChange", "route53:GetHostedZone", "route53:ListHostedZonesByName"),
    ),
    "s3/bucket:Bucket": ("s3:CreateBucket", "s3:DeleteBucket", "s3:ListBucket"),
    "s3/bucketCorsConfiguration:BucketCorsConfiguration": ("s3:PutBucketCORS",),
    "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": (
        "s3:PutLifecycleConfiguration",
    ),
    "s3/bucketOwnershipControls:BucketOwnershipControls": ("s3:PutBucketOwnershipControls",),
    "s3/bucketPolicy:BucketPolicy": ("s3:PutBucketPolicy",),
    "s3/bucketPublicAccessBlock:BucketPublicAccessBlock": ("s3:PutBucketPublicAccessBlock",),
    "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        "s3:PutEncryptionConfiguration",
    ),
    "secretsmanager/secret:Secret": (
        *("secretsmanager:CreateSecret", "secretsmanager:DescribeSecret"),
        *("secretsmanager:DeleteSecret", "secretsmanager:TagResource"),
        *("secretsmanager:ReplicateSecretToRegions", "secretsmanager:GetResourcePolicy"),
    ),
    "secretsmanager/secretVersion:SecretVersion": (
        *("secretsmanager:PutSecretValue", "secretsmanager:GetSecretValue"),
        "secretsmanager:UpdateSecretVersionStage",
    ),
    "sns/topic:Topic": (
        *("sns:CreateTopic", "sns:GetTopicAttributes", "sns:DeleteTopic", "sns:TagResource"),
    ),
    "sns/topicPolicy:TopicPolicy": ("sns:SetTopicAttributes",),
    "sns/topicSubscription:TopicSubscription": (
        *("sns:Subscribe", "sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes"),
        "sns:Unsubscribe",
    ),
    "vpc/securityGroupEgressRule:SecurityGroupEgressRule": (
        *("ec2:AuthorizeSecurityGroupEgress", "ec2:DescribeSecurityGroupRules"),
        "ec2:ModifySecurityGroupRules",
    ),
    "vpc/securityGroupIngressRule:SecurityGroupIngressRule": ("ec2:AuthorizeSecurityGroupIngress",),
    "wafv2/webAcl:WebAcl": ("wafv2:CreateWebACL", "wafv2:UpdateWebACL", "wafv2:DeleteWebACL"),
    "wafv2/webAclAssociation:WebAclAssociation": ("wafv2:AssociateWebACL",),
}
INSIDE_AWSX = (
    *("ec2:CreateVpc", "ec2:ModifyVpcAttribute", "ec2:DeleteVpc", "ec2:CreateInternetGateway"),
    *("ec2:AttachInternetGateway", "ec2:AllocateAddress", "ec2:ReleaseAddress"),
    *("ec2:CreateNatGateway", "ec2:DescribeNatGateways", "ec2:DeleteNatGateway"),
    *("ec2:DescribeAvailabilityZones", "ec2:DescribeNetworkInterfaces"),
)
NO_CALL = {"budgets:ModifyBudget", "budgets:ViewBudget", "iam:PassRole"}
"""Actions without a call of that name; those of S3 are named after another plan as well."""
SERVICES = {"elasticloadbalancing": "elbv2"}


@pytest.fixture(scope="module")
def full() -> Plan:
    return make_plan("prod", FULL, preview=True)


def allowed(action: str) -> bool:
    return any(fnmatchcase(action, pattern) for pattern in _patterns())


def _patterns() -> Iterator[str]:
    for statement in POLICY["Statement"]:
        actions = statement["Action"]
        yield from [actions] if isinstance(actions, str) else actions


def test_every_planned_type__has_the_calls_it_takes(full: Plan) -> None:
    planned = {
        resource.type.removeprefix("aws:")
        for resource in full.resources
        if resource.type.startswith("aws:")
    }

    assert planned - CALLS.keys() == set()


def test_deploying_role__may_make_every_call() -> None:
    calls = {call for calls in CALLS.values() for call in calls} | set(INSIDE_AWSX)

    assert sorted(call for call in calls if not allowed(call)) == []


# https://docs.aws.amazon.com/service-authorization/latest/reference/ says what a call is about.
ABOUT: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("ecs:CreateCluster", "ecs:RegisterTaskDefinition", "ecs:DescribeTaskDefinition"),
            *("ecr:GetAuthorizationToken", "logs:DescribeLogGroups", "sns:Unsubscribe"),
            *("sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes"),
        ),
        "*",
    ),
    "ecs:DescribeServiceDeployments": "ecs:us-west-2:1:service-deployment/{name}/{name}/x",
    "ecs:DescribeServiceRevisions": "ecs:us-west-2:1:service-revision/{name}/{name}/1",
    "ecs:UpdateService": "ecs:us-west-2:1:service/{name}/{name}",
    "ecs:TagResource": "ecs:us-west-2:1:task-definition/{name}:1",
    "dynamodb:UpdateTable": "dynamodb:eu-west-1:1:table/bff-1a2b3c4",
    "ecr:CreateRepository": "ecr:us-west-2:1:repository/{name}",
    "elasticache:CreateServerlessCache": "elasticache:us-west-2:1:serverlesscache:{name}",
    "logs:PutRetentionPolicy": "logs:us-west-2:1:log-group:/{name}-exec:*",
    "logs:CreateLogGroup": "logs:us-west-2:1:log-group:bff-flow-1a2b3c4",
    "sns:Subscribe": "sns:us-west-2:1:bff-1a2b3c4",
    "secretsmanager:ReplicateSecretToRegions": "secretsmanager:us-west-2:1:secret:bff-jwt-1-AbCdEf",
    "s3:PutBucketPolicy": "s3:::bff-files-1a2b3c4",
    "iam:PutRolePolicy": "iam::1:role/bff-execution-1a2b3c4",
}
"""What the resources must be that a call is allowed for; the account and region do not matter."""


@pytest.mark.parametrize("call", ABOUT)
def test_deploying_role__may_make_a_call_about_what_it_is_about(call: str) -> None:
    about = ABOUT[call].format(name="agentcore-bff-prod")
    arn = about if about == "*" else f"arn:aws:{about}"

    assert any(
        fnmatchcase(call, action) and fnmatchcase(arn, resource)
        for statement in POLICY["Statement"]
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
    )


def _listed(one_or_more: str | list[str]) -> list[str]:
    return [one_or_more] if isinstance(one_or_more, str) else one_or_more


def test_calls__exist() -> None:
    session = botocore.session.get_session()
    for call in {call for calls in CALLS.values() for call in calls} | set(INSIDE_AWSX):
        service, _, operation = call.partition(":")
        if service == "s3" or call in NO_CALL:
            continue
        names = session.get_service_model(SERVICES.get(service, service)).operation_names
        assert operation in names, call


def test_policy__fits_and_gives_no_way_up() -> None:
    text = json.dumps(POLICY, separators=(",", ":"))

    assert len(text) <= 6144  # a managed policy's limit
    for action in (
        "iam:CreateUser",
        "iam:AttachRolePolicy",
        "iam:CreatePolicyVersion",
        "sts:AssumeRole",
    ):
        touching = [
            statement
            for statement in POLICY["Statement"]
            if any(
                fnmatchcase(action, pattern)
                for pattern in (
                    statement["Action"]
                    if isinstance(statement["Action"], list)
                    else [statement["Action"]]
                )
            )
        ]
        assert touching == [], action

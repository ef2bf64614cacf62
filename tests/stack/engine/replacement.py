"""Which changed inputs make a new resource in place of the old one.

The SDK does not say so, and the provider's schema that does (`willReplaceOnChanges`) is neither in
the Python package nor among the Go modules that can be had here. So it stands here by type, after
the source that schema is made from: `ForceNew` and `RequiresReplace` in terraform-provider-aws,
under internal/service/. Rows of types that CloudFormation has too were held against its create-only
properties, as pulumi-aws-native 1.84.0 has them (`replace_on_changes` in its classes): they agree
but for what the provider alone replaces (a certificate's names, a table's keys, a cache's engine)
and for rules of security groups, which it changes in place. A type that has no row fails the test
that plans it.
"""

from __future__ import annotations

from collections.abc import Mapping

ALL = "*"
NAMED = frozenset({"name", "namePrefix"})

_AUTOSCALED = frozenset({"resourceId", "scalableDimension", "serviceNamespace"})
_BUCKETS = frozenset({"bucket", "expectedBucketOwner"})

FORCES: Mapping[str, frozenset[str]] = {
    "aws:acm/certificate:Certificate": frozenset(
        {
            *("domainName", "subjectAlternativeNames", "validationMethod", "keyAlgorithm"),
            *("certificateAuthorityArn", "validationOptions"),
        }
    ),
    "aws:acm/certificateValidation:CertificateValidation": frozenset(
        {"certificateArn", "validationRecordFqdns"}
    ),
    "aws:appautoscaling/policy:Policy": _AUTOSCALED | {"name"},
    "aws:appautoscaling/scheduledAction:ScheduledAction": _AUTOSCALED | {"name"},
    "aws:appautoscaling/target:Target": _AUTOSCALED,
    "aws:budgets/budget:Budget": NAMED | {"accountId"},
    "aws:cloudwatch/dashboard:Dashboard": frozenset({"dashboardName"}),
    "aws:cloudwatch/logGroup:LogGroup": NAMED | {"logGroupClass"},
    "aws:cloudwatch/metricAlarm:MetricAlarm": frozenset({"name"}),
    "aws:dynamodb/table:Table": frozenset({"name", "hashKey", "rangeKey", "localSecondaryIndexes"}),
    "aws:dynamodb/tableReplica:TableReplica": frozenset({"globalTableArn", "kmsKeyArn"}),
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": frozenset({"vpcId"}),
    "aws:ec2/egressOnlyInternetGateway:EgressOnlyInternetGateway": frozenset({"vpcId"}),
    "aws:ec2/eip:Eip": frozenset(
        {"domain", "address", "publicIpv4Pool", "ipamPoolId", "networkBorderGroup"}
    ),
    "aws:ec2/flowLog:FlowLog": frozenset({ALL}),
    "aws:ec2/internetGateway:InternetGateway": frozenset(),
    "aws:ec2/natGateway:NatGateway": frozenset(
        {
            *("subnetId", "vpcId", "availabilityMode", "allocationId", "connectivityType"),
            *("privateIp", "secondaryPrivateIpAddressCount"),
        }
    ),
    "aws:ec2/route:Route": frozenset(
        {
            *("routeTableId", "destinationCidrBlock", "destinationIpv6CidrBlock"),
            "destinationPrefixListId",
        }
    ),
    "aws:ec2/routeTable:RouteTable": frozenset({"vpcId"}),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": frozenset({"subnetId", "gatewayId"}),
    "aws:ec2/securityGroup:SecurityGroup": NAMED | {"vpcId", "description"},
    "aws:ec2/subnet:Subnet": frozenset(
        {
            *("vpcId", "availabilityZone", "availabilityZoneId", "cidrBlock", "ipv6Native"),
            *("ipv4IpamPoolId", "ipv4NetmaskLength", "ipv6IpamPoolId", "ipv6NetmaskLength"),
            "outpostArn",
        }
    ),
    "aws:ec2/vpc:Vpc": frozenset({"cidrBlock", "ipv4IpamPoolId", "ipv4NetmaskLength"}),
    "aws:ec2/vpcIpv6CidrBlockAssociation:VpcIpv6CidrBlockAssociation": frozenset(
        {
            *("vpcId", "assignGeneratedIpv6CidrBlock", "ipv6CidrBlock", "ipv6Pool"),
            *("ipv6IpamPoolId", "ipv6NetmaskLength"),
        }
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": frozenset(
        {
            *("vpcId", "serviceName", "vpcEndpointType", "serviceRegion"),
            *("resourceConfigurationArn", "serviceNetworkArn"),
        }
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": frozenset({"repository", "policy"}),
    "aws:ecr/repository:Repository": frozenset({"name", "encryptionConfigurations"}),
    "aws:ecs/cluster:Cluster": frozenset({"name"}),
    "aws:ecs/clusterCapacityProviders:ClusterCapacityProviders": frozenset({"clusterName"}),
    "aws:ecs/service:Service": frozenset(
        {
            *("name", "cluster", "launchType", "schedulingStrategy", "deploymentController"),
            "iamRole",
        }
    ),
    "aws:ecs/taskDefinition:TaskDefinition": frozenset({ALL}),
    "aws:elasticache/serverlessCache:ServerlessCache": frozenset(
        {
            *("name", "engine", "majorEngineVersion", "subnetIds", "kmsKeyId", "networkType"),
            "snapshotArnsToRestores",
        }
    ),
    "aws:iam/role:Role": NAMED | {"path"},
    "aws:iam/rolePolicy:RolePolicy": NAMED | {"role"},
    "aws:lb/listener:Listener": frozenset({"loadBalancerArn"}),
    "aws:lb/listenerCertificate:ListenerCertificate": frozenset({"listenerArn", "certificateArn"}),
    "aws:lb/listenerRule:ListenerRule": frozenset({"listenerArn"}),
    "aws:lb/loadBalancer:LoadBalancer": NAMED | {"internal", "loadBalancerType"},
    "aws:lb/targetGroup:TargetGroup": NAMED
    | {"port", "protocol", "protocolVersion", "targetType", "vpcId", "ipAddressType"},
    "aws:route53/healthCheck:HealthCheck": frozenset({"type", "requestInterval", "measureLatency"}),
    # A change of type or set identifier is one transaction: delete and create.
    "aws:route53/record:Record": frozenset({"name", "zoneId"}),
    "aws:s3/bucket:Bucket": frozenset(
        {"bucket", "bucketPrefix", "bucketNamespace", "objectLockEnabled"}
    ),
    "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration": _BUCKETS,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _BUCKETS,
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": frozenset({"bucket"}),
    "aws:s3/bucketPolicy:BucketPolicy": frozenset({"bucket"}),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": frozenset({"bucket"}),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        _BUCKETS
    ),
    "aws:s3/bucketVersioning:BucketVersioning": _BUCKETS,
    "aws:secretsmanager/secret:Secret": NAMED,
    "aws:secretsmanager/secretVersion:SecretVersion": frozenset(
        {"secretId", "secretString", "secretBinary", "secretStringWoVersion"}
    ),
    "aws:sns/topic:Topic": NAMED | {"fifoTopic"},
    "aws:sns/topicPolicy:TopicPolicy": frozenset({"arn"}),
    "aws:sns/topicSubscription:TopicSubscription": frozenset({"topic", "protocol", "endpoint"}),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": frozenset({"securityGroupId"}),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": frozenset({"securityGroupId"}),
    "aws:wafv2/webAcl:WebAcl": NAMED | {"scope"},
    "aws:wafv2/webAclAssociation:WebAclAssociation": frozenset({"resourceArn", "webAclArn"}),
    "docker-build:index:Image": frozenset(),
    "random:index/randomPassword:RandomPassword": frozenset({ALL}),
}

IN_PLACE_EVEN_SO = frozenset({"tags", "tagsAll", "skipDestroy", "trackLatest"})
"""What every type changes in place."""


def forced(
    token: str, changed: Mapping[str, tuple[object, object]], inputs: Mapping[str, object]
) -> list[str]:
    """Of the changed inputs, with their old and new values, those that make a new resource."""
    forces = FORCES[token]
    found = [
        name
        for name in changed
        if name in forces | {"region"} or (ALL in forces and name not in IN_PLACE_EVEN_SO)
    ]
    # `capacityProviderStrategyCustomizeDiff` in internal/service/ecs/service.go: one strategy
    # becomes another in place, with a new deployment; a service without one is another service.
    old, new = changed.get("capacityProviderStrategies", (True, True))
    if not (old and new and (inputs.get("forceNewDeployment") or old == new)):
        found.append("capacityProviderStrategies")
    return found

"""Which changed inputs make a new resource in place of the old one.

Neither the SDK nor anything else that can be had here says so: the provider's schema is not
published with the Python package. So it stands here by type, after the provider's own documentation
and source (`ForceNew`, `RequiresReplace`). A type that has no row fails the test that plans it.
"""

from __future__ import annotations

from collections.abc import Mapping

ALL = "*"
NAMED = frozenset({"name", "namePrefix"})

_AUTOSCALED = frozenset({"resourceId", "scalableDimension", "serviceNamespace"})
_BUCKETS = frozenset({"bucket", "expectedBucketOwner"})

FORCES: Mapping[str, frozenset[str]] = {
    "aws:acm/certificate:Certificate": frozenset(
        {"domainName", "subjectAlternativeNames", "validationMethod", "keyAlgorithm"}
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
    "aws:ec2/eip:Eip": frozenset({"domain", "publicIpv4Pool", "networkBorderGroup"}),
    "aws:ec2/flowLog:FlowLog": frozenset({ALL}),
    "aws:ec2/internetGateway:InternetGateway": frozenset(),
    "aws:ec2/natGateway:NatGateway": frozenset({"subnetId", "allocationId", "connectivityType"}),
    "aws:ec2/route:Route": frozenset(
        {"routeTableId", "destinationCidrBlock", "destinationIpv6CidrBlock"}
    ),
    "aws:ec2/routeTable:RouteTable": frozenset({"vpcId"}),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": frozenset({"subnetId", "gatewayId"}),
    "aws:ec2/securityGroup:SecurityGroup": NAMED | {"vpcId", "description"},
    "aws:ec2/subnet:Subnet": frozenset(
        {"vpcId", "availabilityZone", "availabilityZoneId", "cidrBlock", "ipv6Native"}
    ),
    "aws:ec2/vpc:Vpc": frozenset({"cidrBlock", "ipv4IpamPoolId", "ipv4NetmaskLength"}),
    "aws:ec2/vpcIpv6CidrBlockAssociation:VpcIpv6CidrBlockAssociation": frozenset(
        {"vpcId", "assignGeneratedIpv6CidrBlock", "ipv6CidrBlock", "ipv6Pool"}
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": frozenset({"vpcId", "serviceName", "vpcEndpointType"}),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": frozenset({"repository", "policy"}),
    "aws:ecr/repository:Repository": frozenset({"name", "encryptionConfigurations"}),
    "aws:ecs/cluster:Cluster": frozenset({"name"}),
    "aws:ecs/clusterCapacityProviders:ClusterCapacityProviders": frozenset({"clusterName"}),
    # A strategy is changed in place, but not given to a service without one or taken from it.
    "aws:ecs/service:Service": frozenset(
        {"name", "cluster", "launchType", "schedulingStrategy", "deploymentController"}
    ),
    "aws:ecs/taskDefinition:TaskDefinition": frozenset({ALL}),
    "aws:elasticache/serverlessCache:ServerlessCache": frozenset(
        {"name", "engine", "majorEngineVersion", "subnetIds", "kmsKeyId", "snapshotArnsToRestores"}
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
    "aws:s3/bucket:Bucket": frozenset({"bucket", "bucketPrefix", "objectLockEnabled"}),
    "aws:s3/bucketCorsConfiguration:BucketCorsConfiguration": _BUCKETS,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _BUCKETS,
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _BUCKETS,
    "aws:s3/bucketPolicy:BucketPolicy": _BUCKETS,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _BUCKETS,
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


def forced(token: str, changed: Mapping[str, tuple[object, object]]) -> list[str]:
    """Of the changed inputs, with their old and new values, those that make a new resource."""
    forces = FORCES[token]
    found = [
        name
        for name in changed
        if name in forces | {"region"} or (ALL in forces and name not in IN_PLACE_EVEN_SO)
    ]
    if token == "aws:ecs/service:Service" and "capacityProviderStrategies" in changed:
        old, new = changed["capacityProviderStrategies"]
        if not old or not new:
            found.append("capacityProviderStrategies")
    return found

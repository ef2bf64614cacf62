"""The service that is planned, and the way in to it."""

from __future__ import annotations

import json

from tests.stack.planner import ACCOUNT, Plan
from tests.stack.reading import BOTH, Plans, container

# Task and service -------------------------------------------------------------------------------


@BOTH
def test_container__cannot_do_more_than_serve(planned: Plans, stack: str) -> None:
    only = container(planned(stack))

    assert only["readonlyRootFilesystem"] is True
    assert only["user"] == "10001:10001"
    assert only["linuxParameters"]["capabilities"] == {"drop": ["ALL"]}
    assert only["ulimits"] == [{"name": "nofile", "softLimit": 65536, "hardLimit": 65536}]
    assert only["healthCheck"]["command"][:3] == ["CMD", "python", "-c"]
    assert only["logConfiguration"]["options"]["mode"] == "non-blocking"


@BOTH
def test_task__waits_for_what_it_may_read(planned: Plans, stack: str) -> None:
    definition = planned(stack).one("taskDefinition:TaskDefinition")

    assert {
        "aws:iam/rolePolicy:RolePolicy::bff-execution",
        "aws:iam/rolePolicy:RolePolicy::bff-task",
        "aws:secretsmanager/secretVersion:SecretVersion::bff-jwt",
        "aws:secretsmanager/secretVersion:SecretVersion::bff-keys",
    } <= definition.depends_on


@BOTH
def test_service__rolls_back_by_itself(planned: Plans, stack: str) -> None:
    service = planned(stack).one("ecs/service:Service")

    assert service["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
    assert service["deploymentMinimumHealthyPercent"] == 100
    assert service["deploymentMaximumPercent"] == 200
    assert service["alarms"] == {
        "enable": True,
        "rollback": True,
        "alarmNames": [f"agentcore-bff-{stack}-{alarm}" for alarm in ROLLBACK],
    }
    assert service["waitForSteadyState"] is True


ROLLBACK = ("internal-errors", "balancer-5xx", "unhealthy-hosts")


@BOTH
def test_service__leaves_its_number_to_autoscaling(planned: Plans, stack: str) -> None:
    service = planned(stack).one("ecs/service:Service")

    assert service.ignore_changes == ("desiredCount",)
    assert service["desiredCount"] == (2 if stack == "prod" else 1)


@BOTH
def test_service__in_private_subnets_behind_listeners(planned: Plans, stack: str) -> None:
    service = planned(stack).one("ecs/service:Service")

    assert service["networkConfiguration"] == {
        "assignPublicIp": False,
        "securityGroups": ["securitygroup-bff-tasks"],
        "subnets": ["subnet-1111111a", "subnet-1111111b"],
    }
    assert {listener.key for listener in planned(stack).all("listener:Listener")} <= (
        service.depends_on
    )


@BOTH
def test_cluster__has_container_insights(planned: Plans, stack: str) -> None:
    assert planned(stack).one("ecs/cluster:Cluster")["settings"] == [
        {"name": "containerInsights", "value": "enhanced"}
    ]


@BOTH
def test_scaling__on_cpu_requests_and_open_streams(planned: Plans, stack: str) -> None:
    plan = planned(stack)
    target = plan.one("appautoscaling/target:Target")
    tracked = {
        policy.name: policy["targetTrackingScalingPolicyConfiguration"]
        for policy in plan.all("appautoscaling/policy:Policy")
    }

    assert target["resourceId"] == f"service/agentcore-bff-{stack}/agentcore-bff-{stack}"
    assert (target["minCapacity"], target["maxCapacity"]) == (
        (2, 10) if stack == "prod" else (1, 1)
    )
    assert {name: t["targetValue"] for name, t in tracked.items()} == {
        "bff-cpu": 70,
        "bff-requests": 1000,
        "bff-streams": 200,
    }
    assert {(t["scaleOutCooldown"], t["scaleInCooldown"]) for t in tracked.values()} == {(60, 60)}
    assert tracked["bff-streams"]["customizedMetricSpecification"] == {
        "namespace": "AgentCoreBFF",
        "metricName": "OpenStreams",
        "statistic": "Average",
        "dimensions": [{"name": "Service", "value": f"agentcore-bff-{stack}"}],
    }
    count, filled = tracked["bff-requests"]["customizedMetricSpecification"]["metrics"]
    assert {d["name"]: d["value"] for d in count["metricStat"]["metric"]["dimensions"]} == {
        "LoadBalancer": "app/bff-1234567/50dc6c495c0c9188",
        "TargetGroup": "targetgroup/bff-1234567/73e2d6bc24d8a067",
    }
    assert count["metricStat"]["metric"]["metricName"] == "RequestCountPerTarget"
    # No data where nobody asks would keep every task.
    assert (filled["expression"], filled["returnData"]) == ("FILL(m0, 0)", True)


# The way in -------------------------------------------------------------------------------------


def test_prod__https_with_a_redirect_and_hsts(prod: Plan) -> None:
    secure = prod.one("listener:Listener", "bff-https")
    plain = prod.one("listener:Listener", "bff-http")

    assert (secure["port"], secure["protocol"]) == (443, "HTTPS")
    assert secure["sslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-Res")
    assert secure["routingHttpResponseStrictTransportSecurityHeaderValue"] == "max-age=31536000"
    assert secure["defaultActions"][0]["type"] == "forward"
    assert plain["defaultActions"] == [
        {
            "type": "redirect",
            "redirect": {"protocol": "HTTPS", "port": "443", "statusCode": "HTTP_301"},
        }
    ]


def test_dev__plain_http_without_a_domain(dev: Plan) -> None:
    (listener,) = dev.all("listener:Listener")

    assert (listener["port"], listener["protocol"]) == (80, "HTTP")
    assert listener["defaultActions"][0]["type"] == "forward"
    assert dev.all("acm/certificate:Certificate") == []
    assert dev.outputs["serviceUrl"].startswith("http://")


def test_domain__certificate_proven_and_name_pointed(prod: Plan) -> None:
    assert prod.one("acm/certificate:Certificate")["domainName"] == "chat.example.com"
    assert prod.one("record:Record", "bff-proof-chat.example.com")["type"] == "CNAME"
    alias = prod.one("record:Record", "bff-chat.example.com")
    assert (alias["name"], alias["type"]) == ("chat.example.com", "A")
    listener = prod.one("listener:Listener", "bff-https")
    assert "aws:acm/certificateValidation:CertificateValidation::bff" in listener.depends_on


@BOTH
def test_target_group__as_the_contract_says(planned: Plans, stack: str) -> None:
    group = planned(stack).one("targetGroup:TargetGroup")

    assert (group["port"], group["protocol"], group["targetType"]) == (8000, "HTTP", "ip")
    assert group["stickiness"]["enabled"] is False
    assert group["healthCheck"] == {
        "enabled": True,
        "protocol": "HTTP",
        "path": "/health",
        "matcher": "200",
        "interval": 30,
        "timeout": 5,
        "healthyThreshold": 2,
        "unhealthyThreshold": 3,
    }


@BOTH
def test_balancer__header_hygiene_and_access_log(planned: Plans, stack: str) -> None:
    balancer = planned(stack).one("loadBalancer:LoadBalancer")

    assert balancer["dropInvalidHeaderFields"] is True
    assert balancer["desyncMitigationMode"] == "defensive"
    assert balancer["xffHeaderProcessingMode"] == "append"
    assert balancer["enableDeletionProtection"] is (stack == "prod")
    assert balancer["accessLogs"] == {"bucket": "bucket-bff-access", "enabled": True}
    assert "aws:s3/bucketPolicy:BucketPolicy::bff" in balancer.depends_on


@BOTH
def test_access_log__private_encrypted_and_expiring(planned: Plans, stack: str) -> None:
    plan = planned(stack)
    block = plan.one("bucketPublicAccessBlock:BucketPublicAccessBlock", "bff")
    (expiry,) = plan.one("BucketLifecycleConfiguration", "bff")["rules"]
    grant, denial = json.loads(plan.one("bucketPolicy:BucketPolicy", "bff")["policy"])["Statement"]

    assert all(value is True for key, value in block.inputs.items() if key != "bucket")
    assert plan.one("BucketOwnershipControls", "bff")["rule"] == {
        "objectOwnership": "BucketOwnerEnforced"
    }
    assert "AES256" in json.dumps(
        plan.one("BucketServerSideEncryptionConfiguration", "bff")["rules"]
    )
    assert expiry["expiration"] == {"days": 14}
    assert grant["Principal"] == {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"}
    assert grant["Resource"].endswith(f"/AWSLogs/{ACCOUNT}/*")
    assert (denial["Effect"], denial["Condition"]) == (
        "Deny",
        {"Bool": {"aws:SecureTransport": "false"}},
    )


def test_firewall__bodies_are_only_counted(dev: Plan, prod: Plan) -> None:
    acl = prod.one("webAcl:WebAcl")
    counted = {
        override["name"]
        for rule in acl["rules"]
        for override in rule["statement"]
        .get("managedRuleGroupStatement", {})
        .get("ruleActionOverrides", [])
        if override["actionToUse"] == {"count": {}}
    }

    assert dev.all("webAcl:WebAcl") == []
    assert {
        *("SizeRestrictions_BODY", "CrossSiteScripting_BODY", "EC2MetaDataSSRF_BODY"),
        *("GenericLFI_BODY", "GenericRFI_BODY", "Log4JRCE_BODY", "JavaDeserializationRCE_BODY"),
    } <= counted
    assert [rule["priority"] for rule in acl["rules"]] == [0, 1, 2, 3]
    rate = acl["rules"][-1]
    assert rate["action"] == {"block": {}}
    assert rate["statement"]["rateBasedStatement"]["aggregateKeyType"] == "IP"
    association = prod.one("webAclAssociation:WebAclAssociation")
    assert association["resourceArn"] == f"arn:aws:lb:us-west-2:{ACCOUNT}:bff"

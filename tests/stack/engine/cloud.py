"""An account of AWS, made up: what the providers' stand-ins create lives here.

Ids and outputs come from the URN, so the same program gives the same cloud. Of AWS's own rules
those are kept that a plan can run into half way: what may not be deleted while it is in use,
protected or full, what may exist once, and which version of a secret is current.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.stack.engine.shapes import made_up, shape
from tests.stack.engine.wire import name_of, token_of

ACCOUNT = "123456789012"
ZONES = {"example.com": "Z0EXAMPLECOM", "example.org": "Z0EXAMPLEORG"}
ZONE_LETTERS = "abcd"

State = dict[str, Any]


class Refused(Exception):
    """What AWS would say no to, with its error's name."""


def digest(text: str, length: int = 16) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


@dataclass
class SecretVersions:
    """As Secrets Manager keeps them: https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html"""

    values: dict[str, str] = field(default_factory=dict)
    stages: dict[str, str] = field(default_factory=dict)
    """Each stage's version."""

    def put(self, version: str, value: str, stages: list[str]) -> None:
        self.values[version] = value
        for stage in stages or ["AWSCURRENT"]:
            self._move(stage, version)
        if "AWSCURRENT" not in self.stages:  # the first version always is
            self._move("AWSCURRENT", version)

    def _move(self, stage: str, version: str) -> None:
        if stage == "AWSCURRENT" and stage in self.stages:
            self.stages["AWSPREVIOUS"] = self.stages[stage]
        self.stages[stage] = version

    def of(self, version: str) -> list[str]:
        return sorted(stage for stage, at in self.stages.items() if at == version)

    @property
    def current(self) -> str:
        return self.values[self.stages["AWSCURRENT"]]


@dataclass
class Cloud:
    resources: dict[tuple[str, str], State] = field(default_factory=dict)
    secrets: dict[str, SecretVersions] = field(default_factory=dict)
    full: set[str] = field(default_factory=set)
    """Names of buckets and repositories that hold something."""
    unreadable: set[str] = field(default_factory=set)
    """Words in types that the caller's role may not read."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def create(self, urn: str, inputs: State, region: str) -> tuple[str, State]:
        token = token_of(urn)
        id, state = made(urn, inputs, region)
        with self.lock:
            # A replacement lives beside what it replaces, under an id of its own.
            if (token, id) in self.resources:
                if token in NAMED_ONCE:
                    raise Refused(f"{NAMED_ONCE[token]}: {id} exists already")
                id, state = made(urn, inputs, region, again=len(self.resources))
            self._refuse_create(token, inputs)
            if token.startswith("aws:secretsmanager/secretVersion"):
                kept = self.secrets.setdefault(inputs["secretId"], SecretVersions())
                version = f"{state['versionId']}-{len(kept.values)}"
                kept.put(version, inputs["secretString"], inputs.get("versionStages") or [])
                id, state["versionId"] = f"{inputs['secretId']}|{version}", version
                state["versionStages"] = kept.of(version)
            self.resources[token, id] = state
        return id, state

    def update(self, urn: str, id: str, inputs: State, region: str) -> State:
        _, state = made(urn, inputs, region)
        with self.lock:
            old = self.resources.get((token_of(urn), id), {})
            known = shape(token_of(urn))
            assert known is not None
            kept = {name: value for name, value in old.items() if name in known.computed}
            self.resources[token_of(urn), id] = {**state, **kept}
            return self.resources[token_of(urn), id]

    def read(self, urn: str, id: str) -> State | None:
        with self.lock:
            if any(word in token_of(urn) for word in self.unreadable):
                raise Refused(f"AccessDenied: {id} may not be read")
            state = self.resources.get((token_of(urn), id))
            if state is not None and token_of(urn).startswith("aws:secretsmanager/secretVersion"):
                secret, _, version = id.partition("|")
                stages = self.secrets[secret].of(version)
                # AWS deletes a version that has lost its stages.
                return {**state, "versionStages": stages} if stages else None
            return state

    def delete(self, urn: str, id: str) -> None:
        token = token_of(urn)
        with self.lock:
            state = self.resources.get((token, id))
            if state is None:
                return
            if state.get("enableDeletionProtection") or state.get("deletionProtectionEnabled"):
                raise Refused(f"OperationNotPermitted: {id} is protected from deletion")
            emptied = state.get("forceDelete") or state.get("forceDestroy")
            if token in KEEP_THINGS and id in self.full and not emptied:
                raise Refused(f"NotEmpty: {token} {id}")
            if user := next(self._users(token, id, state), None):
                raise Refused(f"DependencyViolation: {id} is in use by {user}")
            del self.resources[token, id]

    def all(self, kind: str) -> list[State]:
        """States of a type that ends so, such as `lb/listener:Listener`."""
        return [state for (token, _), state in self.resources.items() if token.endswith(kind)]

    def fill(self) -> None:
        """Put something into every bucket and repository."""
        self.full = {id for token, id in self.resources if token in KEEP_THINGS}

    def rotate(self, name: str, value: str) -> None:
        """`aws secretsmanager put-secret-value` on the secret that begins so."""
        secret = next(arn for arn in self.secrets if f":secret:{name}" in arn)
        self.secrets[secret].put(f"by-hand-{len(self.secrets[secret].values)}", value, [])

    def current(self, name: str) -> str:
        return next(kept.current for arn, kept in self.secrets.items() if f":secret:{name}" in arn)

    def _refuse_create(self, token: str, inputs: State) -> None:
        if token == "aws:lb/listener:Listener":
            balancer = inputs["loadBalancerArn"]
            for other in self.all("lb/listener:Listener"):
                shared = _forwarded(other) & _forwarded(inputs)
                if other["loadBalancerArn"] != balancer and shared:
                    raise Refused(f"TargetGroupAssociationLimit: {shared.pop()}")
                if other["loadBalancerArn"] == balancer and other["port"] == inputs["port"]:
                    raise Refused(f"DuplicateListener: port {inputs['port']} of {balancer}")
        if token == "aws:route53/record:Record" and not inputs.get("allowOverwrite"):
            for other in self.all("route53/record:Record"):
                if all(other.get(key) == inputs.get(key) for key in ("zoneId", "name", "type")):
                    mine, theirs = inputs.get("setIdentifier"), other.get("setIdentifier")
                    if mine == theirs or not mine or not theirs:
                        raise Refused(f"InvalidChangeBatch: {inputs['name']} exists already")

    def _users(self, token: str, id: str, state: State) -> Iterator[str]:
        """Who would be left hanging; AWS refuses then."""
        match token:
            case "aws:lb/targetGroup:TargetGroup":
                users = [
                    *self.all("lb/listener:Listener"),
                    *self.all("lb/listenerRule:ListenerRule"),
                ]
                yield from ("a listener" for user in users if id in _forwarded(user))
            case "aws:acm/certificate:Certificate":
                for user in self.all("lb/listener:Listener"):
                    if user.get("certificateArn") == id:
                        yield "a listener"
            case "aws:ec2/securityGroup:SecurityGroup":
                for (other, _), user in self.resources.items():
                    if other != token and other in SITS_IN_A_NETWORK and id in json.dumps(user):
                        yield other
            case "aws:ec2/subnet:Subnet":
                for (other, _), user in self.resources.items():
                    if other in SITS_IN_A_NETWORK and id in json.dumps(user):
                        yield other


SITS_IN_A_NETWORK = frozenset(
    {
        "aws:lb/loadBalancer:LoadBalancer",
        "aws:ecs/service:Service",
        "aws:elasticache/serverlessCache:ServerlessCache",
        "aws:ec2/vpcEndpoint:VpcEndpoint",
        "aws:ec2/natGateway:NatGateway",
    }
)
KEEP_THINGS = frozenset({"aws:s3/bucket:Bucket", "aws:ecr/repository:Repository"})
NAMED_ONCE = {
    "aws:cloudwatch/logGroup:LogGroup": "ResourceAlreadyExistsException",
    "aws:ecr/repository:Repository": "RepositoryAlreadyExistsException",
    "aws:ecs/service:Service": "InvalidParameterException",
    "aws:elasticache/serverlessCache:ServerlessCache": "ServerlessCacheAlreadyExistsFault",
    "aws:dynamodb/table:Table": "ResourceInUseException",
}


def _forwarded(listener: State) -> set[str]:
    """The target groups that a listener or a rule sends to."""
    actions = json.dumps(listener.get("defaultActions") or listener.get("actions") or [])
    return {part for part in actions.split('"') if ":targetgroup/" in part}


def made(urn: str, inputs: State, region: str, again: int = 0) -> tuple[str, State]:
    """Id and whole state of a resource just created."""
    token, seed = token_of(urn), digest(urn + (f"#{again}" if again else ""))
    known = shape(token)
    assert known is not None, token
    # Made from the name and the stack, so that a move to another parent changes nothing.
    name = str(inputs.get("name") or inputs.get("bucket") or f"{name_of(urn)}-{seed[:7]}")
    invented = {prop: made_up(hint, prop, seed[:8]) for prop, hint in known.computed.items()}
    special = COMPUTED[token](name, seed, inputs, region) if token in COMPUTED else {}
    module, _, kind = token.removeprefix("aws:").partition("/")
    arn = f"arn:aws:{module}:{region}:{ACCOUNT}:{kind.partition(':')[0].lower()}/{name}"
    state = {key: value for key, value in invented.items() if value is not None} | inputs
    if "arn" in known.outputs:
        state["arn"] = arn
    if "name" in known.outputs:
        state["name"] = name
    if "region" in known.outputs:
        state["region"] = inputs.get("region") or region
    state |= special
    id = state.pop("id", None) or (state["arn"] if token in BY_ARN else name)
    return str(id), state


BY_ARN = frozenset(
    {
        "aws:acm/certificate:Certificate",
        "aws:ecs/cluster:Cluster",
        "aws:ecs/service:Service",
        "aws:lb/listener:Listener",
        "aws:lb/listenerRule:ListenerRule",
        "aws:lb/loadBalancer:LoadBalancer",
        "aws:lb/targetGroup:TargetGroup",
        "aws:secretsmanager/secret:Secret",
        "aws:sns/topic:Topic",
    }
)
"""Types whose id is their ARN."""

Computed = Callable[[str, str, State, str], State]


def _ec2(prefix: str) -> Computed:
    return lambda name, seed, inputs, region: {"id": f"{prefix}-0{seed}"}


def _balancing(kind: str, prefix: str) -> Computed:
    def computed(name: str, seed: str, inputs: State, region: str) -> State:
        suffix = f"{prefix}/{name}/{seed}"
        path = "" if kind == "targetgroup" else f"{kind}/"
        arn = f"arn:aws:elasticloadbalancing:{region}:{ACCOUNT}:{path}{suffix}"
        dns = f"{name}-{int(seed[:8], 16)}.{region}.elb.amazonaws.com"
        return {"arn": arn, "arnSuffix": suffix, "dnsName": dns, "zoneId": "Z1H1FL5HABSF5"}

    return computed


def _certificate(name: str, seed: str, inputs: State, region: str) -> State:
    names = [inputs["domainName"], *(inputs.get("subjectAlternativeNames") or [])]
    return {
        "arn": f"arn:aws:acm:{region}:{ACCOUNT}:certificate/{seed}",
        "domainValidationOptions": [
            {
                "domainName": domain,
                # The same name in the same account always gets the same proof.
                "resourceRecordName": f"_{digest(domain, 32)}.{domain}.",
                "resourceRecordType": "CNAME",
                "resourceRecordValue": f"_{digest(domain + '!', 32)}.acm-validations.aws.",
            }
            for domain in dict.fromkeys(names)
        ],
    }


def _random(name: str, seed: str, inputs: State, region: str) -> State:
    text = "GENERATED" + digest(seed, 60)
    return {"id": seed, "result": (text * 2)[: int(inputs["length"])], "bcryptHash": "$2a$" + seed}


def _image(name: str, seed: str, inputs: State, region: str) -> State:
    sha = f"sha256:{digest(json.dumps(inputs['context'], sort_keys=True), 64)}"
    return {"id": seed, "digest": sha, "contextHash": sha, "ref": f"image@{sha}"}


COMPUTED: dict[str, Computed] = {
    "aws:acm/certificate:Certificate": _certificate,
    "aws:appautoscaling/target:Target": lambda name, seed, i, r: {"id": i["resourceId"]},
    "aws:cloudwatch/dashboard:Dashboard": lambda name, seed, i, r: {"id": i["dashboardName"]},
    "aws:cloudwatch/logGroup:LogGroup": lambda name, seed, i, r: {
        "arn": f"arn:aws:logs:{r}:{ACCOUNT}:log-group:{name}"
    },
    "aws:dynamodb/tableReplica:TableReplica": lambda name, seed, i, r: {
        "arn": f"arn:aws:dynamodb:{r}:{ACCOUNT}:table/{i['globalTableArn'].rpartition('/')[2]}"
    },
    "aws:ec2/eip:Eip": _ec2("eipalloc"),
    "aws:ec2/internetGateway:InternetGateway": _ec2("igw"),
    "aws:ec2/natGateway:NatGateway": _ec2("nat"),
    "aws:ec2/routeTable:RouteTable": _ec2("rtb"),
    "aws:ec2/securityGroup:SecurityGroup": _ec2("sg"),
    "aws:ec2/subnet:Subnet": _ec2("subnet"),
    "aws:ec2/vpc:Vpc": lambda name, seed, i, r: {
        "id": f"vpc-0{seed}",
        "ipv6CidrBlock": "2600:1f14:aaa:bb00::/56" if i.get("assignGeneratedIpv6CidrBlock") else "",
    },
    "aws:ec2/vpcEndpoint:VpcEndpoint": _ec2("vpce"),
    "aws:ec2/vpcIpv6CidrBlockAssociation:VpcIpv6CidrBlockAssociation": lambda name, seed, i, r: {
        "id": f"vpc-cidr-assoc-0{seed}",
        "ipv6CidrBlock": "2600:1f14:aaa:bb00::/56",
    },
    "aws:ecr/repository:Repository": lambda name, seed, i, r: {
        "repositoryUrl": f"{ACCOUNT}.dkr.ecr.{r}.amazonaws.com/{name}",
        "registryId": ACCOUNT,
    },
    "aws:ecs/service:Service": lambda name, seed, i, r: {
        "arn": f"arn:aws:ecs:{r}:{ACCOUNT}:service/{str(i['cluster']).rpartition('/')[2]}/{name}"
    },
    "aws:ecs/taskDefinition:TaskDefinition": lambda name, seed, i, r: {
        "id": i["family"],
        "arn": f"arn:aws:ecs:{r}:{ACCOUNT}:task-definition/{i['family']}:{int(seed[:4], 16)}",
        "arnWithoutRevision": f"arn:aws:ecs:{r}:{ACCOUNT}:task-definition/{i['family']}",
    },
    "aws:elasticache/serverlessCache:ServerlessCache": lambda name, seed, i, r: {
        "endpoints": [{"address": f"{name}.serverless.{r}.cache.amazonaws.com", "port": 6379}]
    },
    "aws:iam/role:Role": lambda name, seed, i, r: {"arn": f"arn:aws:iam::{ACCOUNT}:role/{name}"},
    "aws:lb/listener:Listener": _balancing("listener", "app"),
    "aws:lb/listenerRule:ListenerRule": _balancing("listener-rule", "app"),
    "aws:lb/loadBalancer:LoadBalancer": _balancing("loadbalancer", "app"),
    "aws:lb/targetGroup:TargetGroup": _balancing("targetgroup", "targetgroup"),
    "aws:route53/record:Record": lambda name, seed, i, r: {
        "id": "_".join(filter(None, (i["zoneId"], i["name"], i["type"], i.get("setIdentifier")))),
        "fqdn": i["name"],
    },
    "aws:s3/bucket:Bucket": lambda name, seed, i, r: {
        "id": name.lower(),
        "bucket": name.lower(),
        "arn": f"arn:aws:s3:::{name.lower()}",
    },
    "aws:secretsmanager/secret:Secret": lambda name, seed, i, r: {
        "arn": f"arn:aws:secretsmanager:{r}:{ACCOUNT}:secret:{name}-{seed[:6]}"
    },
    "aws:sns/topic:Topic": lambda name, seed, i, r: {"arn": f"arn:aws:sns:{r}:{ACCOUNT}:{name}"},
    "docker-build:index:Image": _image,
    "random:index/randomPassword:RandomPassword": _random,
}


def _subnet(args: State, region: str) -> State:
    last = str(args["id"])[-1]
    # Those that a test invents say by their last letter where they are.
    letter = last if last in ZONE_LETTERS else ZONE_LETTERS[int(digest(args["id"], 4), 16) % 2]
    where = {"availabilityZone": region + letter, "cidrBlock": "172.31.0.0/24"}
    return {**args, **where, "vpcId": "vpc-0123456789abcdef0"}


def _zone(args: State, region: str) -> State:
    name = str(args["name"]).rstrip(".")
    if name not in ZONES:
        raise Refused(f"no matching Route 53 Hosted Zone found: {name}")
    return {**args, "zoneId": ZONES[name]}


LOOKUPS: dict[str, Callable[[State, str], State]] = {
    "aws:ec2/getInternetGateway:getInternetGateway": lambda args, region: {
        **args,
        "internetGatewayId": "igw-0123456789abcdef0",
    },
    "aws:ec2/getSubnet:getSubnet": _subnet,
    "aws:ec2/getVpc:getVpc": lambda args, region: {
        **args,
        "enableDnsSupport": True,
        "enableDnsHostnames": True,
    },
    "aws:ec2/getVpcEndpointService:getVpcEndpointService": lambda args, region: {
        **args,
        "availabilityZones": [region + letter for letter in ZONE_LETTERS],
    },
    "aws:ecr/getAuthorizationToken:getAuthorizationToken": lambda args, region: {
        **args,
        "userName": "AWS",
        "password": "GENERATED-registry",
    },
    "aws:index/getCallerIdentity:getCallerIdentity": lambda args, region: {"accountId": ACCOUNT},
    "aws:route53/getZone:getZone": _zone,
}
"""Data sources by token; one that nobody thought of is a KeyError."""

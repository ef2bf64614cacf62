"""Plans the real stack files without a cloud: an engine that records what it is told.

Unlike Pulumi's own mocks it keeps the options of a resource (protection, ignored changes, parent,
provider, dependencies), what was secret, and the outputs of the stack. In a preview whatever only
the cloud knows is unknown, as it is then.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pulumi
import yaml
from pulumi.runtime import mocks, rpc, set_mocks
from pulumi.runtime.config import set_all_config
from pulumi.runtime.settings import SETTINGS, set_root_resource
from pulumi.runtime.stack import run_in_stack

from stack.__main__ import deploy

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "agentcore-bff"
RUNTIME_ARN = "arn:aws:bedrock-agentcore:us-west-2:123456789012:runtime/my_agent-abcdefghij"
ACCOUNT = "123456789012"
VPC = "vpc-0123456789abcdef0"
DIGEST = "sha256:" + "d" * 64
SECRET = "made-at-random"
"""What every random value begins with, to be found again wherever it went."""

REQUIRED: Mapping[str, Mapping[str, Any]] = {
    "dev": {"agentRuntimeArn": RUNTIME_ARN},
    "prod": {
        "agentRuntimeArn": RUNTIME_ARN,
        "domainName": "chat.example.com",
        "hostedZoneName": "example.com",
    },
}
"""What the committed files leave to the operator."""


@dataclass(frozen=True)
class Planned:
    """One resource as the engine was told of it."""

    type: str
    name: str
    inputs: Mapping[str, Any]
    secret: frozenset[str]
    """Inputs that were marked secret."""
    protect: bool
    ignore_changes: tuple[str, ...]
    parent: str
    """The parent's type and name."""
    provider: str
    """Type and name, empty for the default one."""
    providers: Mapping[str, str]
    """What a component of another language hands to its parts."""
    depends_on: frozenset[str]
    component: bool

    @property
    def key(self) -> str:
        return f"{self.type}::{self.name}"

    def __getitem__(self, key: str) -> Any:
        return self.inputs[key]


@dataclass
class Plan:
    resources: list[Planned] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    secret_outputs: set[str] = field(default_factory=set)
    looked_up: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def all(self, type: str) -> list[Planned]:
        """Resources whose type ends so, such as `lb/listener:Listener`."""
        return [resource for resource in self.resources if resource.type.endswith(type)]

    def one(self, type: str, name: str | None = None) -> Planned:
        found = [r for r in self.all(type) if name is None or r.name == name]
        assert len(found) == 1, f"{type} {name or ''}: {[r.key for r in found]}"
        return found[0]


class _Cloud(mocks.Mocks):
    """Makes every resource at once, with the outputs that the program reads."""

    def __init__(self, plan: Plan, preview: bool, answers: Mapping[str, Any]) -> None:
        self.plan = plan
        self.preview = preview
        self.answers = {**ANSWERS, **answers}

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:  # type: ignore[override]
        self.plan.looked_up.append(args.token)
        answer = self.answers[args.token]  # a look-up that nobody thought of fails here
        return dict(answer(args.args) if callable(answer) else answer)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        short = args.typ.rpartition(":")[2]
        package = args.typ.split(":")[1].split("/")[0]
        made = COMPUTED[args.typ](args) if args.typ in COMPUTED else {}
        computed = {
            "arn": f"arn:aws:{package}:us-west-2:{ACCOUNT}:{args.name}",
            **({} if args.inputs.get("name") else {"name": f"{args.name}-1234567"}),
            **made,
        }
        # What a component of another language is given is not what it gives back.
        given = {} if args.typ.startswith("awsx:") else dict(args.inputs)
        if self.preview:
            # A name of Pulumi's making is known before; all else is the cloud's to say.
            computed = {key: rpc.UNKNOWN for key in computed if key != "name"} | {
                key: value for key, value in computed.items() if key == "name"
            }
            return "", {**given, **computed}
        made_id = computed["arn"] if short in BY_ARN else f"{short.lower()}-{args.name}"
        return made_id, {**given, **computed}


def _secret(value: str) -> dict[str, str]:
    """As it goes over the wire: an `Output` would belong to another thread's loop."""
    return {rpc._special_sig_key: rpc._special_secret_sig, "value": value}


def _zone_of(args: Mapping[str, Any]) -> dict[str, Any]:
    last = args["id"][-1]
    return {
        "id": args["id"],
        "availabilityZone": f"us-west-2{last if last in 'abc' else 'a'}",
        "cidrBlock": f"172.31.{int(last, 16)}.0/24",
        "vpcId": VPC,
    }


ANSWERS: dict[str, Any] = {
    "pulumi:pulumi:readStackOutputs": {"outputs": {}},
    "aws:ec2/getInternetGateway:getInternetGateway": {"internetGatewayId": "igw-0123456789abcdef0"},
    "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT},
    "aws:route53/getZone:getZone": {"zoneId": "Z0123456789"},
    "aws:ecr/getAuthorizationToken:getAuthorizationToken": {
        "userName": "AWS",
        "password": _secret(f"{SECRET}-registry"),
    },
    "aws:ec2/getSubnet:getSubnet": _zone_of,
    "aws:ec2/getVpc:getVpc": {"id": VPC, "enableDnsSupport": True, "enableDnsHostnames": True},
    "aws:ec2/getVpcEndpointService:getVpcEndpointService": {
        "availabilityZones": ["us-west-2a", "us-west-2b"]
    },
}

BY_ARN = {"Secret", "Topic", "LoadBalancer", "TargetGroup", "Listener"}
"""Types whose id is their ARN."""

Computed = Callable[[mocks.MockResourceArgs], dict[str, Any]]
COMPUTED: dict[str, Computed] = {
    "awsx:ec2:Vpc": lambda args: {
        "vpcId": VPC,
        "publicSubnetIds": ["subnet-0000000a", "subnet-0000000b"],
        "privateSubnetIds": ["subnet-1111111a", "subnet-1111111b"],
        "isolatedSubnetIds": ["subnet-2222222a", "subnet-2222222b"],
    },
    "aws:lb/loadBalancer:LoadBalancer": lambda args: {
        "dnsName": "Bff-1234567.us-west-2.elb.amazonaws.com",
        "zoneId": "Z1H1FL5HABSF5",
        "arnSuffix": "app/bff-1234567/50dc6c495c0c9188",
    },
    "aws:lb/targetGroup:TargetGroup": lambda args: {
        "arnSuffix": "targetgroup/bff-1234567/73e2d6bc24d8a067"
    },
    "aws:ecr/repository:Repository": lambda args: {
        "repositoryUrl": f"{ACCOUNT}.dkr.ecr.us-west-2.amazonaws.com/{args.inputs['name']}",
        "registryId": ACCOUNT,
        "arn": f"arn:aws:ecr:us-west-2:{ACCOUNT}:repository/{args.inputs['name']}",
    },
    "docker-build:index:Image": lambda args: {"digest": DIGEST},
    "random:index/randomPassword:RandomPassword": lambda args: {
        "result": _secret(f"{SECRET}-{args.name}".ljust(int(args.inputs["length"]), "x"))
    },
    "aws:acm/certificate:Certificate": lambda args: {
        "domainValidationOptions": [
            {
                "domainName": name,
                "resourceRecordName": f"_proof.{name}",
                "resourceRecordType": "CNAME",
                "resourceRecordValue": "_value.acm-validations.aws",
            }
            for name in (
                *args.inputs.get("subjectAlternativeNames", ()),
                args.inputs["domainName"],
            )
        ]
    },
    "aws:route53/record:Record": lambda args: {"fqdn": args.inputs["name"]},
    "aws:elasticache/serverlessCache:ServerlessCache": lambda args: {
        "endpoints": [{"address": "bff-abc.serverless.usw2.cache.amazonaws.com", "port": 6379}]
    },
}


class _Engine(mocks.MockMonitor):
    """Pulumi's mock monitor, with an ear for options."""

    def __init__(self, plan: Plan, cloud: _Cloud) -> None:
        super().__init__(cloud)
        self.plan = plan

    def RegisterResource(self, request: Any) -> Any:
        if request.type != "pulumi:pulumi:Stack":
            inputs = rpc.deserialize_properties(request.object, keep_unknowns=True)
            self.plan.resources.append(
                Planned(
                    type=request.type,
                    name=request.name,
                    inputs=_plain(inputs),
                    secret=frozenset(k for k, v in inputs.items() if rpc.is_rpc_secret(v)),
                    protect=request.protect,
                    ignore_changes=tuple(request.ignoreChanges),
                    parent=_key_of(request.parent),
                    provider=_key_of(request.provider.rpartition("::")[0]),
                    providers={
                        package: _key_of(reference.rpartition("::")[0])
                        for package, reference in request.providers.items()
                    },
                    depends_on=frozenset(map(_key_of, request.dependencies)),
                    component=not request.custom,
                )
            )
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def RegisterResourceOutputs(self, request: Any) -> Any:
        if request.urn.split("::")[2] == "pulumi:pulumi:Stack":
            outputs = rpc.deserialize_properties(request.outputs, keep_unknowns=True)
            self.plan.secret_outputs |= {k for k, v in outputs.items() if rpc.is_rpc_secret(v)}
            self.plan.outputs |= {key: None for key in request.outputs} | _plain(outputs)
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


class _Console(logging.Logger):
    """Keeps what the operator would see beside the plan."""

    def __init__(self, warnings: list[str]) -> None:
        super().__init__("pulumi")
        self._warnings = warnings

    def warning(self, msg: object, *args: object, **kwargs: Any) -> None:
        self._warnings.append(str(msg))


def _plain(value: Any) -> Any:
    """Secrets unwrapped, whole numbers whole, unknowns by one word."""
    if rpc.is_rpc_secret(value):
        return _plain(rpc.unwrap_rpc_secret(value))
    if isinstance(value, pulumi.output.Unknown):
        return "unknown"
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key != "__defaults"}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _key_of(urn: str) -> str:
    """`type::name` of a URN, without the types of its parents."""
    if not urn:
        return ""
    *_, types, name = urn.split("::")
    return f"{types.rpartition('$')[2]}::{name}"


def stack_file(stack: str) -> dict[str, str]:
    """The committed file's configuration, as the engine hands it over: strings."""
    text = (ROOT / f"Pulumi.{stack}.yaml").read_text()
    return {key: _as_config(value) for key, value in yaml.safe_load(text)["config"].items()}


def _as_config(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def make_plan(
    stack: str,
    config: Mapping[str, Any] | None = None,
    *,
    preview: bool = False,
    answers: Mapping[str, Any] | None = None,
    program: Callable[[], object] = deploy,
    without: Sequence[str] = (),
    encrypted: Sequence[str] = (),
) -> Plan:
    """Plan `stack` with its committed file, what it must be given, and `config` on top.

    `prod-eu` begins with prod's file, `qa` with dev's; `encrypted` keys are as if set with
    `--secret`. Raises `pulumi.RunError` where the program
    refuses.
    """
    kind = "prod" if stack.startswith("prod") else "dev"
    mine = {**REQUIRED[kind], **(config or {})}
    settings = stack_file(kind) | {
        key if ":" in key else f"{PROJECT}:{key}": _as_config(value)
        for key, value in mine.items()
        if key not in without
    }
    plan = Plan()

    def run() -> None:
        try:
            asyncio.run(main())
        finally:
            for loop in loops:
                loop.close()

    loops: list[asyncio.AbstractEventLoop] = []

    def give_loop() -> None:
        """Pulumi opens an event loop in every thread that has none, and closes none."""
        loops.append(asyncio.new_event_loop())
        asyncio.set_event_loop(loops[-1])

    async def main() -> None:
        def run_program() -> None:
            program()

        threads = ThreadPoolExecutor(initializer=give_loop)
        asyncio.get_running_loop().set_default_executor(threads)
        cloud = _Cloud(plan, preview, answers or {})
        SETTINGS.rpc_manager.clear()  # what a program that was refused left behind
        SETTINGS.outputs.clear()
        set_all_config(settings, [f"{PROJECT}:{key}" for key in encrypted])
        engine = _Engine(plan, cloud)
        set_mocks(
            cloud,
            project=PROJECT,
            stack=stack,
            preview=preview,
            logger=_Console(plan.warnings),
            monitor=engine,
        )
        set_root_resource(cast(pulumi.Resource, None))  # set_mocks made one that is already over
        async with asyncio.timeout(60):  # a busy machine takes its time
            await run_in_stack(run_program)

    with warnings.catch_warnings():
        # Said on import of parts that nobody uses; what we use is warned of from elsewhere.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"pulumi_awsx?\.")
        contextvars.copy_context().run(run)
    return plan

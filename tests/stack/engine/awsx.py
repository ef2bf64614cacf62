"""What awsx makes of a VPC: the parts that the real component registers, by the same layout.

https://github.com/pulumi/pulumi-awsx/blob/main/awsx/ec2/vpc.ts
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from pulumi.runtime.proto import resource_pb2, resource_pb2_grpc

from tests.stack.engine import wire
from tests.stack.engine.cloud import ZONE_LETTERS
from tests.stack.engine.shapes import UNKNOWN

VERSION = version("pulumi-aws")


@dataclass(frozen=True)
class Part:
    """A resource as it was registered."""

    urn: str
    id: str


class Construction:
    """Registers the parts of one component."""

    def __init__(self, request: Any, monitor: resource_pb2_grpc.ResourceMonitorStub) -> None:
        self._request = request
        self._monitor = monitor
        self.urn = self._register(request.type, request.name, request.parent, {}, custom=False).urn

    def make(self, token: str, name: str, **inputs: Any) -> Part:
        answer = self._register(token, name, self.urn, inputs, custom=True)
        return Part(answer.urn, answer.id or UNKNOWN)

    def _register(
        self, token: str, name: str, parent: str, inputs: dict[str, Any], *, custom: bool
    ) -> Any:
        parts = [part for value in inputs.values() for part in _parts(value)]
        return self._monitor.RegisterResource(
            resource_pb2.RegisterResourceRequest(
                type=token,
                name=name,
                parent=parent,
                custom=custom,
                object=wire.write({key: _ids(value) for key, value in inputs.items()}),
                dependencies=[part.urn for part in parts],
                provider=self._request.providers.get("aws", "") if custom else "",
                providers={} if custom else dict(self._request.providers),
                version=VERSION if custom else "",
                supportsPartialValues=True,
            )
        )

    def end(self, outputs: dict[str, Any]) -> Any:
        state = wire.write(outputs)
        self._monitor.RegisterResourceOutputs(
            resource_pb2.RegisterResourceOutputsRequest(urn=self.urn, outputs=state)
        )
        return state


def _parts(value: Any) -> list[Part]:
    return [
        item for item in (value if isinstance(value, list) else [value]) if isinstance(item, Part)
    ]


def _ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_ids(item) for item in value]
    return value.id if isinstance(value, Part) else value


def construct(
    request: Any, inputs: dict[str, Any], monitor: resource_pb2_grpc.ResourceMonitorStub
) -> tuple[str, Any]:
    """URN and outputs of a component."""
    assert request.type == "awsx:ec2:Vpc", f"{request.type} is not modelled"
    parts = Construction(request, monitor)
    outputs = _vpc(parts, request.name, inputs)
    return parts.urn, parts.end(outputs)


def _vpc(parts: Construction, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    make, ec2 = parts.make, "aws:ec2/"
    ipv6 = inputs.get("assignGeneratedIpv6CidrBlock")
    vpc = make(
        f"{ec2}vpc:Vpc",
        name,
        cidrBlock=inputs["cidrBlock"],
        enableDnsHostnames=inputs["enableDnsHostnames"],
        enableDnsSupport=inputs["enableDnsSupport"],
        assignGeneratedIpv6CidrBlock=ipv6,
        tags={"Name": name},
    )
    gateway = make(f"{ec2}internetGateway:InternetGateway", name, vpcId=vpc, tags={"Name": name})
    subnets: dict[str, list[Part]] = {"Public": [], "Private": [], "Isolated": []}
    tables: list[Part] = []
    nats: list[Part] = []
    strategy = inputs["natGateways"]["strategy"]
    region = inputs["vpcEndpointSpecs"][0]["serviceName"].split(".")[2]
    for zone in range(inputs["numberOfAvailabilityZones"]):
        letter = ZONE_LETTERS[zone]
        for spec in inputs["subnetSpecs"]:
            kind = spec["type"]
            part = f"{name}-{kind.lower()}-{zone + 1}"
            tags = {"Name": part, "SubnetType": kind}
            subnet = make(
                f"{ec2}subnet:Subnet",
                part,
                vpcId=vpc,
                availabilityZone=region + letter,
                cidrBlock=spec["cidrBlocks"][zone],
                mapPublicIpOnLaunch=kind == "Public",
                tags=tags,
            )
            table = make(f"{ec2}routeTable:RouteTable", part, vpcId=vpc, tags=tags)
            make(
                f"{ec2}routeTableAssociation:RouteTableAssociation",
                part,
                subnetId=subnet,
                routeTableId=table,
            )
            subnets[kind].append(subnet)
            tables.append(table)
            way = {"routeTableId": table, "destinationCidrBlock": "0.0.0.0/0"}
            if kind == "Public":
                make(f"{ec2}route:Route", part, gatewayId=gateway, **way)
                if strategy == "OnePerAz" or (strategy == "Single" and not nats):
                    address = make(f"{ec2}eip:Eip", f"{name}-{zone + 1}", domain="vpc")
                    nats.append(
                        make(
                            f"{ec2}natGateway:NatGateway",
                            f"{name}-{zone + 1}",
                            subnetId=subnet,
                            allocationId=address,
                        )
                    )
            if kind == "Private" and nats:
                make(f"{ec2}route:Route", part, natGatewayId=nats[-1], **way)
    for spec in inputs.get("vpcEndpointSpecs", []):
        service = spec["serviceName"].rpartition(".")[2]
        make(
            f"{ec2}vpcEndpoint:VpcEndpoint",
            f"{name}-{service}",
            vpcId=vpc,
            serviceName=spec["serviceName"],
            vpcEndpointType=spec["vpcEndpointType"],
            routeTableIds=tables,
        )
    return {
        "vpcId": vpc.id,
        "publicSubnetIds": _ids(subnets["Public"]),
        "privateSubnetIds": _ids(subnets["Private"]),
        "isolatedSubnetIds": _ids(subnets["Isolated"]),
    }

"""Stand-ins for the resource providers: the engine's own protocol, with a made-up cloud behind it.

They refuse what the installed SDK does not have, give a name to what has none, leave unknown in a
preview what only the cloud can know, and replace what the real provider would replace.
"""

from __future__ import annotations

import contextlib
import json
import traceback
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, resource_pb2_grpc

from tests.stack.engine import awsx, replacement, wire
from tests.stack.engine.cloud import LOOKUPS, Cloud, Refused, digest, made
from tests.stack.engine.shapes import PACKAGES, UNKNOWN, shape, wrong_inputs

NAME_LIMITS = {"aws:lb/loadBalancer:LoadBalancer": 32, "aws:lb/targetGroup:TargetGroup": 32}


class StandIn(provider_pb2_grpc.ResourceProviderServicer):
    """One instance of one package's provider, as the engine starts one per configuration."""

    def __init__(self, package: str, cloud: Cloud) -> None:
        self._package = package
        self._cloud = cloud
        self._region = "us-west-2"
        # Of the others the engine opens secrets, and closes what comes back under their names.
        self._takes_secrets = package == "awsx"
        self._version = version(PACKAGES[package].replace("_", "-"))

    # What the engine asks before it begins

    def Handshake(self, request: Any, context: Any) -> Any:
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=self._takes_secrets, accept_resources=True, accept_outputs=True
        )

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version=self._version)

    def GetSchema(self, request: Any, context: Any) -> Any:
        text = json.dumps({"name": self._package, "version": self._version})
        return provider_pb2.GetSchemaResponse(schema=text)

    def CheckConfig(self, request: Any, context: Any) -> Any:
        news = wire.read(request.news)
        token = f"pulumi:providers:{self._package}"
        values = {key: _parsed(value) for key, value in news.items() if key != "version"}
        return provider_pb2.CheckResponse(
            inputs=request.news, failures=_failures(wrong_inputs(token, values))
        )

    def DiffConfig(self, request: Any, context: Any) -> Any:
        olds, news = wire.read(request.olds), wire.read(request.news)
        moved = olds.get("region") != news.get("region")
        changes = provider_pb2.DiffResponse.DIFF_SOME if moved else DIFF_NONE
        return provider_pb2.DiffResponse(changes=changes, replaces=["region"] if moved else [])

    def Configure(self, request: Any, context: Any) -> Any:
        self._region = wire.read(request.args).get("region") or self._region
        return provider_pb2.ConfigureResponse(
            acceptSecrets=self._takes_secrets, supportsPreview=True, acceptResources=True
        )

    def GetMapping(self, request: Any, context: Any) -> Any:
        return provider_pb2.GetMappingResponse()

    def GetMappings(self, request: Any, context: Any) -> Any:
        return provider_pb2.GetMappingsResponse()

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    # One resource's life

    def Check(self, request: Any, context: Any) -> Any:
        token, news = wire.token_of(request.urn), wire.read(request.news)
        olds = wire.read(request.olds)
        found = wrong_inputs(token, news)
        known = shape(token)
        if known and "name" in known.inputs.keys() - known.required and not news.get("name"):
            unique = digest(request.urn, 7)
            news["name"] = olds.get("name") or f"{wire.name_of(request.urn)}-{unique}"
            news["__named"] = True
        if len(str(news.get("name", ""))) > NAME_LIMITS.get(token, 255):
            found.append(f"name: {news['name']} is longer than {NAME_LIMITS[token]} characters")
        if token not in replacement.FORCES:
            found.append(f"{token}: tests/stack/engine/replacement.py has no row for it")
        return provider_pb2.CheckResponse(inputs=wire.write(news), failures=_failures(found))

    def Diff(self, request: Any, context: Any) -> Any:
        token, news = wire.token_of(request.urn), wire.without_none(wire.read(request.news))
        olds = wire.without_none(wire.read(request.old_inputs))
        changed = {
            name: (olds.get(name), news.get(name))
            for name in sorted(olds.keys() | news.keys())
            if not name.startswith("__") and olds.get(name) != news.get(name)
        }
        for ignored in request.ignoreChanges:
            changed.pop(ignored, None)
        if not changed:
            return provider_pb2.DiffResponse(changes=DIFF_NONE)
        replaces = replacement.forced(token, changed, news)
        kind = provider_pb2.PropertyDiff.Kind
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME,
            diffs=list(changed),
            replaces=replaces,
            # A name that was given cannot be borne by two at once.
            deleteBeforeReplace=bool(replaces and news.get("name") and not news.get("__named")),
            hasDetailedDiff=True,
            detailedDiff={
                name: provider_pb2.PropertyDiff(
                    kind=kind.UPDATE_REPLACE if name in replaces else kind.UPDATE, inputDiff=True
                )
                for name in changed
            },
        )

    def Create(self, request: Any, context: Any) -> Any:
        inputs = _own(wire.read(request.properties))
        secret = self._secret(request.urn, inputs)
        if request.preview:
            _, state = made(request.urn, inputs, self._region)
            known = inputs.keys() | {"name", "region"}
            state = {key: value if key in known else UNKNOWN for key, value in state.items()}
            return provider_pb2.CreateResponse(id="", properties=wire.write(state, secret))
        if wire.has_unknown(inputs):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{request.urn}: unknown inputs")
        with _told(context):
            id, state = self._cloud.create(request.urn, inputs, self._region)
        return provider_pb2.CreateResponse(id=id, properties=wire.write(state, secret))

    def Update(self, request: Any, context: Any) -> Any:
        inputs = _own(wire.read(request.news))
        secret = self._secret(request.urn, inputs)
        if request.preview:
            old = wire.read(request.olds)
            known = shape(wire.token_of(request.urn))
            kept = {key: old[key] for key in known.computed if key in old} if known else {}
            return provider_pb2.UpdateResponse(properties=wire.write({**inputs, **kept}, secret))
        state = self._cloud.update(request.urn, request.id, inputs, self._region)
        return provider_pb2.UpdateResponse(properties=wire.write(state, secret))

    def Read(self, request: Any, context: Any) -> Any:
        state = self._cloud.read(request.urn, request.id)
        if state is None:
            return provider_pb2.ReadResponse(id="")
        known = shape(wire.token_of(request.urn))
        assert known is not None
        inputs = wire.read(request.inputs)
        seen = {key: state[key] for key in known.inputs if key in state}
        # What was left to AWS is no input, as the bridge has it: only what is set can drift.
        inputs = {key: seen.get(key) for key in inputs.keys() | {"name"}} if inputs else seen
        secret = self._secret(request.urn, state)
        return provider_pb2.ReadResponse(
            id=request.id,
            properties=wire.write(state, secret),
            inputs=wire.write(inputs, secret & inputs.keys()),
        )

    def Delete(self, request: Any, context: Any) -> Any:
        with _told(context):
            self._cloud.delete(request.urn, request.id)
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        with _told(context):
            answer = LOOKUPS[request.tok](wire.read(request.args), self._region)
        secret = frozenset({"password"} & answer.keys())
        return provider_pb2.InvokeResponse(**{"return": wire.write(answer, secret)})

    def Construct(self, request: Any, context: Any) -> Any:
        inputs = wire.read(request.inputs)
        if found := wrong_inputs(request.type, inputs):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{request.type}: {found}")
        with grpc.insecure_channel(request.monitorEndpoint) as channel, _told(context):
            monitor = resource_pb2_grpc.ResourceMonitorStub(channel)
            urn, state = awsx.construct(request, inputs, monitor)
        return provider_pb2.ConstructResponse(urn=urn, state=state)

    def _secret(self, urn: str, state: dict[str, Any]) -> frozenset[str]:
        known = shape(wire.token_of(urn))
        return known.secret_outputs if known else frozenset()


@contextlib.contextmanager
def _told(context: Any) -> Iterator[None]:
    """Errors go to the engine: AWS's own by their words, mistakes of this stand-in whole."""
    try:
        yield
    except Refused as refusal:
        context.abort(grpc.StatusCode.UNKNOWN, str(refusal))
    except Exception:
        context.abort(grpc.StatusCode.UNKNOWN, traceback.format_exc())


DIFF_NONE = provider_pb2.DiffResponse.DIFF_NONE


def _own(inputs: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in inputs.items() if not key.startswith("__")}


def _parsed(value: Any) -> Any:
    """A provider's settings travel as JSON text."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        return json.loads(value)
    return value


def _failures(found: list[str]) -> list[provider_pb2.CheckFailure]:
    return [
        provider_pb2.CheckFailure(property=text.partition(":")[0], reason=text) for text in found
    ]

"""What a resource type of an installed Pulumi SDK takes and gives, read from the SDK itself.

The generated classes carry every property's name on the wire (`_pulumi_name`); the class `<X>Args`
(`<X>InitArgs` where a nested type already bears that name) carries the inputs, and what a class has
beyond them is output only. So no provider and no schema is needed to refuse a misspelt property.
"""

from __future__ import annotations

import collections.abc
import functools
import importlib
import inspect
import json
import re
import threading
import types
import typing
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi import _types

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The engine's word for a value that is not known yet."""
PACKAGES = {
    "aws": "pulumi_aws",
    "awsx": "pulumi_awsx",
    "docker-build": "pulumi_docker_build",
    "random": "pulumi_random",
}


@dataclass(frozen=True)
class Hint:
    """A type as the SDK writes it, and the module in which its names mean something."""

    type: Any
    module: str


@dataclass(frozen=True)
class Shape:
    inputs: dict[str, Hint]
    required: frozenset[str]
    outputs: dict[str, Hint]
    """Inputs are among them."""
    secret_outputs: frozenset[str]

    @property
    def computed(self) -> dict[str, Hint]:
        return {name: hint for name, hint in self.outputs.items() if name not in self.inputs}


@functools.cache
def _classes(package: str) -> dict[str, tuple[str, str]]:
    """Where each resource type of a package lives: module and class."""
    module = importlib.import_module(PACKAGES[package])
    assert module.__file__
    text = Path(module.__file__).read_text()
    found: dict[str, tuple[str, str]] = {}
    for kind, entries in re.findall(r'resource_(modules|packages)="""(.*?)"""', text, re.S):
        for entry in json.loads(entries):
            if kind == "modules":
                found |= {token: (entry["fqn"], name) for token, name in entry["classes"].items()}
            else:
                found[entry["token"]] = (entry["fqn"], entry["class"])
    return found


def shape(token: str) -> Shape | None:
    """None for a type that the installed SDK does not have."""
    with _importing, warnings.catch_warnings():
        # Said on import of parts that nobody uses.
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"pulumi_awsx?\.")
        return _shape(token)


_importing = threading.RLock()
"""SDKs load their parts when first asked for, which two threads may not do at once."""


@functools.cache
def _shape(token: str) -> Shape | None:
    provider = token.startswith("pulumi:providers:")
    package = token.rpartition(":")[2] if provider else token.partition(":")[0]
    where = _classes(package).get(token) if package in PACKAGES else None
    if where is None:
        return None
    resource = getattr(importlib.import_module(where[0]), where[1])
    module = importlib.import_module(resource.__module__)
    args = getattr(module, f"{where[1]}InitArgs", None) or getattr(module, f"{where[1]}Args")
    source = inspect.getsource(module)
    secret = re.search(r"additional_secret_outputs=\[([^\]]*)\]", source)
    return Shape(
        inputs=_properties(args),
        required=frozenset(_required(args)),
        outputs=_properties(resource),
        secret_outputs=frozenset(re.findall(r'"([^"]+)"', secret[1]) if secret else ()),
    )


def _properties(owner: type) -> dict[str, Hint]:
    found: dict[str, Hint] = {}
    for base in reversed(owner.__mro__):
        for value in vars(base).values():
            getter = value.fget if isinstance(value, property) else None
            if getter is not None and hasattr(getter, "_pulumi_name"):
                returns = getter.__annotations__.get("return", Any)
                found[getter._pulumi_name] = Hint(returns, owner.__module__)
    return found


def _required(args: type) -> typing.Iterator[str]:
    names = _types.input_type_py_to_pulumi_names(args)
    for parameter in inspect.signature(args).parameters.values():
        if parameter.name in names and parameter.default is inspect.Parameter.empty:
            yield names[parameter.name]


@functools.cache
def _kinds(hint: Hint) -> tuple[tuple[str, Hint], ...]:
    """What a value may be, such as `text` or `list`, and of what."""
    written, module = hint.type, hint.module
    if isinstance(written, typing.ForwardRef):
        written = written.__forward_arg__
    if isinstance(written, str):
        if written.startswith("Output["):  # of `pulumi.Input`: the same value, later
            return (("any", hint),)
        return _kinds(Hint(eval(written, dict(vars(importlib.import_module(module)))), module))
    origin, inner = typing.get_origin(written), typing.get_args(written)
    if origin in (typing.Union, types.UnionType):
        kinds = [
            kind for one in inner if one is not type(None) for kind in _kinds(Hint(one, module))
        ]
        # `Input[X]` is X, an awaitable of it or an output of it; a dictionary's type is no news.
        return tuple(dict.fromkeys(kind for kind in kinds if kind[0] != "any")) or tuple(kinds)
    if origin is not None and getattr(origin, "__name__", "") in ("Output", "Awaitable"):
        return _kinds(Hint(inner[0], module)) if inner else (("any", hint),)
    if origin in (list, collections.abc.Sequence):
        return (("list", Hint(inner[0], module)),)
    if origin in (dict, collections.abc.Mapping):
        return (("map", Hint(inner[1], module)),)
    if isinstance(written, type):
        for base, kind in ((bool, "flag"), (int, "number"), (float, "number"), (str, "text")):
            if issubclass(written, base):
                return ((kind, hint),)
        if _types.is_input_type(written) or _types.is_output_type(written):
            return (("object", Hint(written, written.__module__)),)
        if issubclass(written, pulumi.Resource):
            return (("resource", hint),)
    return (("any", hint),)


def wrong_inputs(token: str, inputs: dict[str, Any]) -> list[str]:
    """Paths that the type does not have, values of another kind, required inputs left out."""
    known = shape(token)
    if known is None:
        return [f"{token}: no such type"]
    found = [f"{name}: missing" for name in sorted(known.required) if inputs.get(name) is None]
    for name, value in inputs.items():
        if not name.startswith("__"):
            found += (
                _wrong(known.inputs[name], value, name)
                if name in known.inputs
                else [f"{name}: unknown"]
            )
    return found


def _wrong(hint: Hint, value: Any, path: str) -> list[str]:
    if value is None or value == UNKNOWN:
        return []
    answers = [_wrong_kind(kind, inner, value, path) for kind, inner in _kinds(hint)]
    return min(answers, key=len) if answers else []


def _wrong_kind(kind: str, inner: Hint, value: Any, path: str) -> list[str]:
    match kind, value:
        case (("any" | "resource"), _):
            return []
        case "list", list():
            return [
                bad for n, item in enumerate(value) for bad in _wrong(inner, item, f"{path}[{n}]")
            ]
        case "map", dict():
            return [
                bad for key, item in value.items() for bad in _wrong(inner, item, f"{path}.{key}")
            ]
        case "object", dict():
            known, found = _properties(inner.type), []
            for key, item in value.items():
                found += (
                    _wrong(known[key], item, f"{path}.{key}")
                    if key in known
                    else [f"{path}.{key}: unknown"]
                )
            missing = (name for name in _required(inner.type) if value.get(name) is None)
            return found + [f"{path}.{name}: missing" for name in missing]
        case "text", str() | int() | float():
            return []
        case "number", int() | float():
            return []
        case "number", str() if re.fullmatch(r"-?\d+(\.\d+)?", value):
            return []
        case "flag", bool() | "true" | "false":
            return []
        case _:
            return [f"{path}: {kind} is wanted, not {type(value).__name__}"]


def made_up(hint: Hint, name: str, seed: str, depth: int = 3) -> Any:
    """A value of the hinted type, recognisably made up."""
    kind, inner = _kinds(hint)[0]
    match kind:
        case "text":
            return f"{name}-{seed}"
        case "number":
            return 1
        case "flag":
            return False
        case "list":
            item = made_up(inner, name, seed, depth - 1) if depth else None
            return [] if item is None else [item]
        case "object" if depth:
            parts = {k: made_up(h, k, seed, depth - 1) for k, h in _properties(inner.type).items()}
            return {k: v for k, v in parts.items() if v is not None}
        case "map":
            return {}
        case _:
            return None

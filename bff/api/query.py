"""What lists are asked for in a URL's query: how much, from where on, in which order."""

from __future__ import annotations

import re

from aiohttp import web

from bff.errors import Invalid


def one(request: web.Request, name: str) -> str | None:
    """A parameter's value, if it is there. Raises `Invalid` where it is there twice."""
    values = request.query.getall(name, [])
    if len(values) > 1:
        raise Invalid.of(name, "must be there once")
    return values[0] if values else None


def limit_of(text: str | None, *, default: int, most: int) -> int:
    """How many items of a list are wanted, 1 to `most`. Raises `Invalid`."""
    if text is None:
        return default
    if not re.fullmatch(rf"[0-9]{{1,{len(str(most))}}}", text) or not 1 <= int(text) <= most:
        raise Invalid.of("limit", f"must be a whole number from 1 to {most}")
    return int(text)


def oldest_first(order: str | None) -> bool:
    """Whether a list is wanted in the order `asc`, which is not the usual one. Raises `Invalid`."""
    if order not in (None, "asc", "desc"):
        raise Invalid.of("order", "must be asc or desc")
    return order == "asc"

"""AgentCore Memory's events on the real wire, with what moto lacks.

Order (newest first, as seen in the field, or oldest first), pages with tokens, pages that are
empty and not the last, `includePayloads`, ListSessions, client tokens, id and size rules,
ResourceNotFound and throttling: all as the service model and its documentation have it.
"""

import itertools
import json
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web
from aiohttp.test_utils import TestServer

MEMORY_ID = "memory-0123456789"
SESSION_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_]{0,99}")
ACTOR_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_/]*(?::[a-zA-Z0-9\-_/]+)*[a-zA-Z0-9\-_/]*")
VALUE = re.compile(r"[a-zA-Z0-9\s._:/=+@-]{0,256}")


class Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        self.status = status
        self.code = code


@dataclass
class FakeMemory:
    """The service with one memory in it; change its fields to change how it behaves."""

    order: Literal["newest", "oldest"] = "newest"
    page: int = 100
    empty_pages: bool = False
    clock: Callable[[], float] = lambda: 0.0
    deletes_per_second: int | None = None
    failing: dict[str, deque[Refused]] = field(default_factory=dict)
    """By operation: answers to give instead, one after the other."""
    calls: list[str] = field(default_factory=list)
    deleted: list[tuple[float, str]] = field(default_factory=list)
    sessions: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    before_delete: Callable[[], Any] | None = None
    """Awaited before each DeleteEvent is answered."""
    before_create: Callable[[web.Request], Any] | None = None
    """Answers CreateEvent in its place."""
    refuses_tokens: bool = False
    """Whether a token that comes again with another body is refused, not ignored."""
    lag: int = 0
    """So many times an event that is new is left out of a list."""
    _unlisted: dict[str, int] = field(default_factory=dict)
    _tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    _count: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def put(
        self,
        actor: str,
        session: str,
        payload: list[Any],
        *,
        at: float,
        metadata: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """An event as an agent writes it; `at` in seconds."""
        event = {
            "memoryId": MEMORY_ID,
            "actorId": actor,
            "sessionId": session,
            "eventId": f"{round(at * 1000):019}#{next(self._count) * 2654435761 % 2**32:08x}",
            "eventTimestamp": at,
            "payload": payload,
            "branch": {"name": "main"},
            "metadata": metadata or {},
        }
        self.sessions.setdefault((actor, session), []).append(event)
        return event

    def count(self, operation: str) -> int:
        return self.calls.count(operation)

    @property
    def size(self) -> int:
        return sum(map(len, self.sessions.values()))

    async def create(self, request: web.Request) -> web.Response:
        if self.before_create is not None:
            answer, self.before_create = self.before_create, None
            try:
                response: web.Response = await answer(request)
            finally:
                self.before_create = answer
            return response
        body = await request.json()
        actor, session, payload = body["actorId"], body["sessionId"], body["payload"]
        self._check(request, actor, session)
        if not 1 <= len(payload) <= 100:
            raise Refused(400, "ValidationException")
        for item in payload:
            if "conversational" in item:
                text = item["conversational"]["content"]["text"]
                if not 1 <= len(text) <= 9000:
                    raise Refused(400, "ValidationException")
        metadata = body.get("metadata", {})
        if len(metadata) > 15 or not all(
            VALUE.fullmatch(name) and VALUE.fullmatch(value["stringValue"])
            for name, value in metadata.items()
        ):
            raise Refused(400, "ValidationException")
        token = body["clientToken"]
        if token not in self._tokens:
            self._tokens[token] = self.put(
                actor, session, payload, at=body["eventTimestamp"], metadata=metadata
            )
            self._unlisted[self._tokens[token]["eventId"]] = self.lag
        elif self.refuses_tokens and payload != self._tokens[token]["payload"]:
            raise Refused(400, "ValidationException")
        return web.json_response({"event": self._tokens[token]}, status=201)

    async def list_events(self, request: web.Request) -> web.Response:
        body = await request.json()
        actor, session = request.match_info["actor"], request.match_info["session"]
        self._check(request, actor, session)
        events = sorted(
            filter(self._is_listed, self.sessions.get((actor, session), [])),
            key=lambda event: (event["eventTimestamp"], event["eventId"]),
            reverse=self.order == "newest",
        )
        # a token says after which event to go on, whatever is written or deleted meanwhile
        kind, _, last = body.get("nextToken", "full|").partition("|")
        if self.empty_pages and kind == "full" and events:
            return web.json_response({"events": [], "nextToken": f"after-empty|{last}"})
        if last:
            at, id = json.loads(last)
            events = [
                event
                for event in events
                if ((event["eventTimestamp"], event["eventId"]) < (at, id))
                == (self.order == "newest")
                and event["eventId"] != id
            ]
        size = min(self.page, body.get("maxResults", 20))
        chosen, rest = events[:size], events[size:]
        more = {}
        if rest:
            last = json.dumps([chosen[-1]["eventTimestamp"], chosen[-1]["eventId"]])
            more = {"nextToken": f"full|{last}"}
        # filters are applied to what was scanned: a page may get short or empty by them
        for condition in body.get("filter", {}).get("eventMetadata", ()):
            chosen = [event for event in chosen if _meets(event["metadata"], condition)]
        if not body.get("includePayloads"):
            chosen = [{**event, "payload": []} for event in chosen]
        return web.json_response({"events": chosen, **more})

    async def list_sessions(self, request: web.Request) -> web.Response:
        actor = request.match_info["actor"]
        self._check(request, actor, "x")
        summaries = [
            {"sessionId": session, "actorId": owner, "createdAt": events[0]["eventTimestamp"]}
            for (owner, session), events in self.sessions.items()
            if owner == actor and events
        ]
        return web.json_response({"sessionSummaries": summaries})

    async def delete(self, request: web.Request) -> web.Response:
        if self.before_delete is not None:
            await self.before_delete()
        actor, session = request.match_info["actor"], request.match_info["session"]
        event_id = request.match_info["event"]
        self._check(request, actor, session)
        now = self.clock()
        lately = [when for when, where in self.deleted if where == session and when > now - 1]
        if self.deletes_per_second is not None and len(lately) >= self.deletes_per_second:
            raise Refused(429, "ThrottledException")
        self.deleted.append((now, session))
        events = self.sessions.get((actor, session), [])
        for event in events:
            if event["eventId"] == event_id:
                events.remove(event)
                return web.json_response({"eventId": event_id})
        raise Refused(404, "ResourceNotFoundException")

    def _is_listed(self, event: dict[str, Any]) -> bool:
        left = self._unlisted.get(event["eventId"], 0)
        self._unlisted[event["eventId"]] = max(0, left - 1)
        return left == 0

    def _check(self, request: web.Request, actor: str, session: str) -> None:
        if not request.headers.get("Authorization", "").startswith("AWS4-HMAC-SHA256 Credential="):
            raise Refused(403, "AccessDeniedException")
        if request.match_info["memory"] != MEMORY_ID:
            raise Refused(404, "ResourceNotFoundException")
        if len(actor) > 255 or not ACTOR_ID.fullmatch(actor) or not SESSION_ID.fullmatch(session):
            raise Refused(400, "ValidationException")

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Its address, for `AWS_ENDPOINT_URL_BEDROCK_AGENTCORE`."""

        def route(operation: str, handler: Callable[[web.Request], Any]) -> Any:
            async def answer(request: web.Request) -> web.StreamResponse:
                self.calls.append(operation)
                try:
                    if waiting := self.failing.get(operation):
                        raise waiting.popleft()
                    response: web.StreamResponse = await handler(request)
                except Refused as refused:
                    return web.Response(
                        status=refused.status,
                        headers={"x-amzn-ErrorType": refused.code},
                        text=json.dumps({"message": "refused"}),
                        content_type="application/json",
                    )
                return response

            return answer

        app = web.Application(client_max_size=10 * 1024 * 1024)
        actor = "/memories/{memory}/actor/{actor}"
        app.add_routes(
            [
                web.post("/memories/{memory}/events", route("CreateEvent", self.create)),
                web.post(f"{actor}/sessions", route("ListSessions", self.list_sessions)),
                web.post(f"{actor}/sessions/{{session}}", route("ListEvents", self.list_events)),
                web.delete(
                    f"{actor}/sessions/{{session}}/events/{{event}}",
                    route("DeleteEvent", self.delete),
                ),
            ]
        )
        async with TestServer(app) as server:
            yield str(server.make_url("/")).rstrip("/")


def _meets(metadata: dict[str, Any], condition: dict[str, Any]) -> bool:
    value = metadata.get(condition["left"]["metadataKey"])
    match condition["operator"]:
        case "EXISTS":
            return value is not None
        case "NOT_EXISTS":
            return value is None
        case _:
            return bool(value == condition["right"]["metadataValue"])

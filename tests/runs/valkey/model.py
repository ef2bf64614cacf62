"""The Lua scripts once more, in Python and without expiry: a server for tests that need none.

`test_model.py` holds the two against each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from bff.runs.valkey import scripts
from bff.runs.valkey.scripts import Script

SCRIPTS = {script.sha: script for script in vars(scripts).values() if isinstance(script, Script)}

Hash = dict[str, str]


class Model:
    """What a server keeps. `now` gives its time in milliseconds."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now
        self.data: dict[str, Any] = {}
        self.published: list[tuple[str, str]] = []

    def run(self, script: Script, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """What the script replies."""
        return getattr(self, f"_{script.name}")(list(keys), [str(arg) for arg in args])

    def flush(self) -> None:
        self.data.clear()

    # What scripts are made of

    def _hash(self, key: str) -> Hash:
        return self.data.setdefault(key, {})  # type: ignore[no-any-return]

    def _drop_empty(self) -> None:
        for key in [key for key, value in self.data.items() if not value]:
            del self.data[key]

    def _publish(self, instance: str, text: str) -> None:
        self.published.append((f"bff:2:instance:{instance}", text))

    def _tell(self, watch: str | None, text: str) -> None:
        for instance, till in re.findall(r"(\S+)=(\d+)", watch or ""):
            if int(till) > self.now():
                self._publish(instance, text)

    def _epoch(self, key: str, fresh: str) -> tuple[str, int]:
        value: str = self.data.setdefault(key, f"{fresh} {self.now()}")
        return value, self.now() - int(value.split(" ")[1])

    def _lapsed_lease(self, leases: str, member: str) -> bool:
        till = self.data.get(leases, {}).get(member)
        return till is None or till <= self.now()

    def _write(
        self, run: str, log: str, member: str, instance: str, first: int, events: list[str]
    ) -> tuple[str, int]:
        h = self.data.get(run)
        if not h:
            return "missing", 0
        last = int(h.get("last", 0))
        if h["instance"] != instance:
            return "superseded", last
        if h["status"] != "running":
            return h["status"], last
        if first > last + 1:
            return "behind", last
        events = events[last + 1 - first :]
        if events:
            self.data.setdefault(log, []).extend(events)
            self._tell(h.get("watch"), f"events {member} {last + 1}\n" + "\n".join(events))
            h["last"] = str(last + len(events))
        return "ok", last + len(events)

    # The scripts

    def _touch(self, keys: list[str], args: list[str]) -> Any:
        return [*self._epoch(keys[0], args[0])]

    def _open(self, keys: list[str], args: list[str]) -> Any:
        epoch, leases, open_runs, run, log, followers, key, ours, session_runs = keys
        (known, fresh, member, instance, lease, ttl, session, meta, said, interruption, first,
         most, fingerprint, counted, doubtful, late, has_ours) = args  # fmt: skip
        if late != "0" and self.now() > int(late):
            return ["late"]
        value, age = self._epoch(epoch, fresh)
        if known not in ("", value):
            return ["epoch", value, age]
        if fingerprint:
            if earlier := self.data.get(key):
                mark, other = earlier.split(" ")
                return ["known", other] if mark == fingerprint else ["mismatch"]
            if doubtful == "1":
                return ["fresh"]
        held = self.data.get(open_runs, {})
        if holder := held.get(session):
            lapsed = self._lapsed_lease(leases, holder)
            return ["lapsed", holder] if lapsed else ["busy", holder.partition(":")[2]]
        if has_ours == "1":
            h = self.data.get(ours)
            if not h or (h["status"] == "running" and h["instance"] == instance):
                return ["busy"]
        if len(held) >= int(most):
            dead = [other for other in held.values() if self._lapsed_lease(leases, other)]
            return ["lapsed", *dead] if dead else ["full"]
        self.data[run] = {
            "status": "running", "instance": instance, "last": "1", "meta": meta, "said": said,
            "interruption": interruption, "session": session,
        }  # fmt: skip
        self.data[log] = [first]
        self._hash(open_runs)[session] = member
        self.data.setdefault(leases, {})[member] = self.now() + int(lease)
        if counted == "1":
            self.data[run]["counted"] = "1"
            self.data.setdefault(followers, {})[instance] = self.now() + int(lease)
        if fingerprint:
            self.data[key] = f"{fingerprint} {member}"
        kept = self.data.setdefault(session_runs, {})
        for other in [other for other, till in kept.items() if till <= self.now()]:
            del kept[other]
        kept[member.partition(":")[2]] = self.now() + int(ttl)
        return ["ok"]

    def _restore(self, keys: list[str], args: list[str]) -> Any:
        epoch, leases, open_runs, run, log, followers, key, session_runs = keys
        (fresh, member, instance, lease, ttl, session, meta, said, interruption, fingerprint,
         counted, after) = args  # fmt: skip
        self._epoch(epoch, fresh)
        h = self.data.get(run)
        if h and h["instance"] != instance:
            return ["superseded", 0]
        if h and h["status"] != "running":
            return [h["status"], int(h["last"])]
        self.data.pop(log, None)
        self._hash(run).update(
            status="running", instance=instance, last=after, meta=meta, said=said,
            interruption=interruption,
        )  # fmt: skip
        if session:
            self.data[run]["session"] = session
            self._hash(open_runs).setdefault(session, member)
        self.data.setdefault(leases, {})[member] = self.now() + int(lease)
        self.data.setdefault(session_runs, {})[member.partition(":")[2]] = self.now() + int(ttl)
        if counted == "1":
            self.data[run]["counted"] = "1"
            self.data.setdefault(followers, {})[instance] = self.now() + int(lease)
        if fingerprint:
            self.data.setdefault(key, f"{fingerprint} {member}")
        return ["ok", int(after)]

    def _append(self, keys: list[str], args: list[str]) -> Any:
        instance, at, said = args[0], 4, []
        for run, log in zip(keys[::2], keys[1::2], strict=True):
            member, first, count = args[at].split(" ")
            events = args[at + 1 : at + 1 + int(count)]
            word, last = self._write(run, log, member, instance, int(first), events)
            said.append(f"{word} {last}")
            at += 1 + int(count)
        return " ".join(said)

    def _close(self, keys: list[str], args: list[str]) -> Any:
        run, log, leases, open_runs, followers, _key = keys
        instance, _, _, _, member, first, session, status, ended, _, *events = args
        word, last = self._write(run, log, member, instance, int(first), events)
        if word != "ok":
            return [word, last]
        h = self.data[run]
        h.update(status=status, ended=ended, end=events[-1])
        for field in ("said", "interruption", "watch", "cancel", "session"):
            h.pop(field, None)
        self.data.get(leases, {}).pop(member, None)
        if self.data.get(open_runs, {}).get(session) == member:
            del self.data[open_runs][session]
        self.data.pop(followers, None)
        self._drop_empty()
        return [word, last]

    def _known(self, keys: list[str], args: list[str]) -> Any:
        return [self.data.get(keys[0], "")]

    def _forget(self, keys: list[str], args: list[str]) -> Any:
        run, log = keys
        member, _, ending = args
        h = self.data.get(run)
        if not h or h["status"] in ("running", "forgotten"):
            return [h["status"] if h else "missing"]
        self.data.pop(log, None)
        self.data[run] = {"status": "forgotten", "instance": "", "ending": ending}
        if h["instance"]:
            self._publish(h["instance"], f"lost {member}")
        return [h["status"]]

    def _withdraw(self, keys: list[str], args: list[str]) -> Any:
        leases, open_runs, run, log, followers, key = keys
        member, instance, session = args
        if self.data.get(run, {}).get("instance") != instance:
            return ["kept"]
        if self.data.get(open_runs, {}).get(session) == member:
            del self.data[open_runs][session]
        self.data.get(leases, {}).pop(member, None)
        if key != run and self.data.get(key, " ").split(" ")[1] == member:
            del self.data[key]
        for name in (run, log, followers):
            self.data.pop(name, None)
        self._drop_empty()
        return ["ok"]

    def _interrupt(self, keys: list[str], args: list[str]) -> Any:
        epoch, leases, open_runs, run, log, followers = keys
        fresh, member, grace, lease, ended, _ = args
        _, age = self._epoch(epoch, fresh)
        if age < int(grace):
            return ["wait"]
        h = self.data.get(run)
        till = self.data.get(leases, {}).get(member)
        if h and h["status"] == "running":
            if till is None:
                self.data.setdefault(leases, {})[member] = self.now() + int(lease)
                return ["alive"]
            if till > self.now():
                return ["alive"]
        self.data.get(leases, {}).pop(member, None)
        held = self._hash(open_runs)
        known = [h["session"]] if h and "session" in h else list(held)
        for session in known:
            if held.get(session) == member:
                del held[session]
        self._drop_empty()
        if not h:
            return ["missing"]
        if h["status"] != "running":
            return ["ended"]
        last, text, owner = int(h["last"]) + 1, h["interruption"], h["instance"]
        self.data.setdefault(log, []).append(text)
        h.update(status="interrupted", instance="", last=str(last), ended=ended, end=text)
        watch, said = h.pop("watch", None), h.get("said", "")
        for field in ("interruption", "cancel", "session"):
            h.pop(field, None)
        self.data.pop(followers, None)
        self._tell(watch, f"events {member} {last}\n{text}")
        self._publish(owner, f"lost {member}")
        return ["interrupted", last, h["meta"], said]

    def _find(self, keys: list[str], args: list[str]) -> Any:
        leases, run = keys
        h = self.data.get(run)
        if not h:
            return ["missing"]
        if h["status"] == "forgotten":
            return [h["status"], h["ending"]]
        till = self.data.get(leases, {}).get(args[0])
        left = till - self.now() if till is not None else 0
        said = h.get("said", "") if h["status"] in ("running", "interrupted") else ""
        return [h["status"], int(h["last"]), h.get("ended", ""), h["meta"], left, said]

    def _read(self, keys: list[str], args: list[str]) -> Any:
        leases, run, log = keys
        member, after, most, instance, watch, room = args
        h = self.data.get(run)
        if not h or h["status"] == "forgotten":
            return ["missing"]
        last, left = int(h["last"]), 0
        if h["status"] == "running":
            till = self.data.get(leases, {}).get(member)
            left = till - self.now() if till is not None else 0
            if watch != "0":
                others = [
                    f"{other}={till}"
                    for other, till in re.findall(r"(\S+)=(\d+)", h.get("watch", ""))
                    if other != instance and int(till) > self.now()
                ]
                h["watch"] = " ".join([*others, f"{instance}={self.now() + int(watch)}"])
        kept = self.data.get(log, [])
        first = last - len(kept) + 1
        if first > last and "end" in h and last > int(after):
            return [h["status"], last, left, last, h["end"]]
        start = max(first, int(after) + 1)
        events: list[str] = []
        size = int(room)
        for event in kept[start - first : start - first + int(most)] if start <= last else ():
            size -= len(event.encode())
            if events and size < 0:
                break
            events.append(event)
        return [h["status"], last, left, start, *events]

    def _renew(self, keys: list[str], args: list[str]) -> Any:
        leases, *names = keys
        instance, lease, ttl, extend, *each = args
        words = []
        for at in range(len(names) // 6):
            run, _log, open_runs, followers, session_runs, _key = names[at * 6 : at * 6 + 6]
            member, last, followed, session = each[at * 4 : at * 4 + 4]
            words.append(
                self._renew_one(
                    leases, run, open_runs, followers, instance, int(lease), member, int(last),
                    followed, session,
                )
            )  # fmt: skip
            if extend == "1" and words[-1] not in ("missing", "superseded", "ended"):
                self.data.setdefault(session_runs, {})[member.partition(":")[2]] = self.now() + int(
                    ttl
                )
        return words

    def _renew_one(
        self, leases: str, run: str, open_runs: str, followers: str, instance: str, lease: int,
        member: str, last: int, followed: str, session: str,
    ) -> str:  # fmt: skip
        h = self.data.get(run)
        if not h:
            return "missing"
        if h["instance"] != instance:
            return "superseded"
        if h["status"] != "running":
            return "ended"
        till = self.now() + lease
        self.data.setdefault(leases, {})[member] = till
        if session:
            self._hash(open_runs).setdefault(session, member)
        if int(h["last"]) < last:
            return "behind"
        if "cancel" in h:
            return "cancel"
        if "counted" in h:
            if followed == "1":
                self.data.setdefault(followers, {})[instance] = till
            elif all(until <= self.now() for until in self.data.get(followers, {}).values()):
                return "left"
        return "ok"

    def _join(self, keys: list[str], args: list[str]) -> Any:
        if self.data.get(keys[0], {}).get("status") == "running":
            self.data.setdefault(keys[1], {})[args[0]] = self.now() + int(args[1])
        return ["ok"]

    def _leave(self, keys: list[str], args: list[str]) -> Any:
        self.data.get(keys[1], {}).pop(args[0], None)
        self._drop_empty()
        if self.data.get(keys[0], {}).get("status") != "running":
            return [0]
        return [int(all(till <= self.now() for till in self.data.get(keys[1], {}).values()))]

    def _cancel(self, keys: list[str], args: list[str]) -> Any:
        h = self.data.get(keys[0], {})
        if h.get("status") == "running":
            h["cancel"] = "1"
            self._publish(h["instance"], f"cancel {args[0]}")
        return [h.get("status", "missing")]

    def _open_runs(self, keys: list[str], args: list[str]) -> Any:
        return [text for pair in self.data.get(keys[0], {}).items() for text in pair]

    def _session_runs(self, keys: list[str], args: list[str]) -> Any:
        runs = sorted(self.data.get(keys[0], {}).items(), key=lambda run: (run[1], run[0]))
        return [member for member, till in runs if till > self.now()]

    def _lapsed(self, keys: list[str], args: list[str]) -> Any:
        if not (leases := self.data.get(keys[0])):
            return []
        first = sorted(leases.items(), key=lambda lease: (lease[1], lease[0]))
        return [member for member, till in first if till <= self.now()][: int(args[0])]

    def _alive(self, keys: list[str], args: list[str]) -> Any:
        alive = self.data.setdefault(keys[0], {})
        before = int(args[0] in alive)
        for other in [other for other, till in alive.items() if till <= self.now()]:
            del alive[other]
        alive[args[0]] = self.now() + int(args[1])
        self._publish(args[0], "alive")
        return [before, len(alive), self.now()]

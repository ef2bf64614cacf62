"""Any order of whatever can happen to several instances that share their runs."""

from __future__ import annotations

import asyncio
import copy
import logging
import sys
import traceback
from collections import deque
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bff.errors import Overloaded, SessionBusy
from bff.events import Message
from bff.runs.log import Run
from bff.runs.valkey.keys import idempotency_key
from bff.runs.valkey.replicas import Replicas
from tests.runs.valkey.network import Pipeline
from tests.runs.valkey.simulation import (
    Execution,
    Instance,
    Reader,
    Simulation,
    is_interruption,
    keys_of,
    word,
)

PLACES = (("alice", "s"), ("alice", "t"), ("bob", "s"))
"""Owners and their sessions."""
HELD = ("append", "close", "open", "restore", "renew", "interrupt", "read", "*")
EVICTED = ("log", "open", "key", "leases", "followers", "run")


class Complaints(logging.Handler):
    """A defect that costs one run is caught and logged: here it counts."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(logging.ERROR)
        self._simulation = simulation

    def emit(self, line: logging.LogRecord) -> None:
        self._simulation.wrong.append(f"{line.getMessage()}: {line.exc_info and line.exc_info[1]}")


class Machine(RuleBasedStateMachine):
    """What happens; `healthy` says at last that all is as it should be."""

    replicas: type[Replicas] = Replicas

    def __init__(self) -> None:
        super().__init__()
        self.s = Simulation(self.replicas)
        self.complaints = Complaints(self.s)
        logging.getLogger("bff").addHandler(self.complaints)
        self.lossy: set[str] = set()
        """Runs that the server lost something of."""
        self.evicted: set[str] = set()
        """Keys of runs that the server dropped and kept all others: nobody notices that."""
        self.cancelled: set[str] = set()
        """Runs that somebody was told will be cancelled."""
        self.deleted_from: set[tuple[str, str]] = set()
        """Places that somebody meant to delete."""
        self.forgotten: set[str] = set()
        """Runs that somebody was told are deleted."""
        self.copies: deque[tuple[float, dict[str, Any]]] = deque(maxlen=20)
        """What another server has, which hears of all that the first one does, if a little late."""

    @initialize(number=st.integers(1, 3), max_events=st.sampled_from([8, 20_000]))
    def start(self, number: int, max_events: int) -> None:
        self.s.max_events = max_events
        for _ in range(number):
            self.s.start_instance()
        self.s.loop.advance(2.5)  # from then on they may end each other's runs

    # What callers and agents do

    @rule(data=st.data(), place=st.sampled_from(PLACES), key=st.sampled_from([None, "k"]))
    def begin(self, data: st.DataObject, place: tuple[str, str], key: str | None) -> None:
        _ = self.s.begin(data.draw(self.any_instance), *place, key)

    @rule(data=st.data(), place=st.sampled_from(PLACES))
    def begin_unheard(self, data: st.DataObject, place: tuple[str, str]) -> None:
        """The server begins a run, and its reply is lost: the caller is refused."""
        instance, network = data.draw(self.any_instance), self.s.network
        network.holding.setdefault(instance.name, set()).add("open")
        _ = self.s.begin(instance, *place, "k")
        network.holding.pop(instance.name)
        for pipeline in [each for each in network.waiting if each.instance == instance.name]:
            network.lose(pipeline)
        self.s.loop.advance(1)
        if instance.server.up and not network.waiting:
            assert not self.s.ownerless(instance)

    @precondition(lambda self: any(each.key for each in self.s.executions.values()))
    @rule(data=st.data(), evicted=st.sampled_from([True, True, False]))
    def repeat(self, data: st.DataObject, evicted: bool) -> None:
        """A caller sends its request once more; the server may have dropped its key."""
        with_key = [run_id for run_id, each in self.s.executions.items() if each.key]
        earlier = self.s.executions[data.draw(st.sampled_from(with_key))]
        owner = earlier.run.owner
        again = [earlier.instance] if earlier.instance.alive else self.s.living
        instance = data.draw(st.sampled_from([*again, *self.s.living]))
        session = data.draw(st.sampled_from([session for each, session in PLACES if each == owner]))
        if evicted:
            self.s.model.data.pop(idempotency_key(owner, "k"), None)
        _ = self.s.begin(instance, owner, session, "k")

    @property
    def any_instance(self) -> st.SearchStrategy[Instance]:
        return st.sampled_from(self.s.living)

    @property
    def open_executions(self) -> list[str]:
        return [
            run_id
            for run_id, execution in self.s.executions.items()
            if not execution.over and not execution.ending and execution.instance.alive
        ]

    def any_open(self, data: st.DataObject) -> Execution:
        return self.s.executions[data.draw(st.sampled_from(self.open_executions))]

    @precondition(lambda self: self.open_executions)
    @rule(data=st.data(), count=st.sampled_from([1, 1, 2, 9]))
    def say(self, data: st.DataObject, count: int) -> None:
        self.s.say(self.any_open(data), count)

    @precondition(lambda self: self.open_executions)
    @rule(data=st.data(), late=st.booleans())
    def end(self, data: st.DataObject, late: bool) -> None:
        execution = self.any_open(data)
        if late:  # the reply is
            self.s.network.holding.setdefault(execution.instance.name, set()).add("close")
        self.s.end(execution)

    @precondition(lambda self: self.open_executions)
    @rule(data=st.data())
    def post_again_at_once(self, data: st.DataObject) -> None:
        """A caller does not wait for the end to be heard of, and others say something meanwhile."""
        execution, other = self.any_open(data), self.any_open(data)
        instance, network = execution.instance, self.s.network
        network.holding.setdefault(instance.name, set()).update(("append", "close"))
        self.s.end(execution)
        self.s.say(other, 1)
        _ = self.s.begin(instance, execution.run.owner, execution.run.session_id)
        network.holding.pop(instance.name)
        for pipeline in [each for each in network.waiting if each.instance == instance.name]:
            network.pass_on(pipeline)
        self.s.loop.settle()

    @precondition(lambda self: self.s.executions)
    @rule(data=st.data())
    def follow(self, data: st.DataObject) -> None:
        run = self.s.executions[data.draw(st.sampled_from(list(self.s.executions)))].run
        self.s.follow(data.draw(self.any_instance), run)

    @precondition(lambda self: self.s.executions)
    @rule(data=st.data())
    def find(self, data: st.DataObject) -> None:
        run = self.s.executions[data.draw(st.sampled_from(list(self.s.executions)))].run
        self.s.find(data.draw(self.any_instance), run)

    @precondition(lambda self: self.open_executions)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        run = self.any_open(data).run
        instance = data.draw(self.any_instance)
        asking = self.s.spawn(self.asked_to_cancel(instance, run))
        self.s.loop.settle()
        if asking.done() and asking.result():
            self.cancelled.add(run.run_id)

    async def asked_to_cancel(self, instance: Instance, run: Run) -> bool:
        try:
            found = await instance.log.find(run.owner, run.run_id)
            if found is None or found.status != "running":
                return False
            await instance.log.request_cancel(found)
        except Overloaded:
            return False
        return True

    @precondition(lambda self: self.s.executions)
    @rule(data=st.data(), place=st.sampled_from(PLACES))
    def delete(self, data: st.DataObject, place: tuple[str, str]) -> None:
        """A session is deleted, on any instance: none of its runs is known any more."""
        self.deleted_from.add(place)
        deleting = self.s.spawn(self.deleted(data.draw(self.any_instance), *place))
        for _ in range(20):
            self.s.loop.advance(0.1)
        if deleting.done():
            self.forgotten |= deleting.result()

    async def deleted(self, instance: Instance, owner: str, session: str) -> set[str]:
        try:
            while run := await instance.log.find_open(owner, session):
                await instance.log.request_cancel(run)
                await asyncio.sleep(0.1)
            run_ids = await instance.log.runs_of(owner, session)
            await instance.log.forget(owner, run_ids)
        except Overloaded:
            return set()
        runs = [self.s.executions[run_id].run for run_id in run_ids if run_id in self.s.executions]
        return {run.run_id for run in runs if self.s.model_status(run) == "forgotten"}

    # What the network and the server do

    @rule(seconds=st.sampled_from([0.01, 0.1, 0.7, 1.5, 4.0]))
    def wait(self, seconds: float) -> None:
        self.s.loop.advance(seconds)

    @rule(data=st.data(), script=st.sampled_from(HELD))
    def hold(self, data: st.DataObject, script: str) -> None:
        instance = data.draw(self.any_instance)
        self.s.network.holding.setdefault(instance.name, set()).add(script)

    @rule(data=st.data(), trouble=st.sampled_from(["stuck", "cut", "deaf"]))
    def trouble(self, data: st.DataObject, trouble: str) -> None:
        getattr(self.s.network, trouble).add(data.draw(self.any_instance).name)

    @precondition(lambda self: self.s.network.troubled)
    @rule()
    def stop_trouble(self) -> None:
        self.s.network.heal()
        self.s.loop.advance(0.5)

    @precondition(lambda self: self.s.network.waiting)
    @rule(data=st.data(), lost=st.booleans())
    def reply(self, data: st.DataObject, lost: bool) -> None:
        pipeline: Pipeline = data.draw(st.sampled_from(self.s.network.waiting))
        (self.s.network.lose if lost else self.s.network.pass_on)(pipeline)
        self.s.loop.settle()

    @precondition(lambda self: self.s.network.late)
    @rule()
    def arrive_late(self) -> None:
        self.s.network.execute(self.s.network.late.pop(0))
        self.s.loop.settle()

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 8.0]))
    def server_is_away(self, seconds: float) -> None:
        self.s.network.away = True
        self.s.loop.advance(seconds)
        self.s.network.away = False

    @rule()
    def flush(self) -> None:
        self.s.remember()
        self.lossy |= set(self.s.executions)
        self.s.model.flush()

    @rule(lag=st.sampled_from([0.0, 0.1, 0.7]), seconds=st.sampled_from([0.0, 0.1, 4.0]))
    def fail_over(self, lag: float, seconds: float) -> None:
        """Another server takes over, and has missed the last writes."""
        s = self.s
        s.remember()
        self.lossy |= set(s.executions)
        until = s.loop.time() - lag
        kept = [data for at, data in self.copies if until - 0.5 <= at <= until]
        s.network.away = bool(seconds)
        s.network.fail_over(kept[-1] if kept else s.model.data)
        self.copies.clear()
        s.loop.advance(seconds)
        s.network.away = False

    @rule(data=st.data(), kind=st.sampled_from(EVICTED))
    def evict(self, data: st.DataObject, kind: str) -> None:
        keys = [key for key in self.s.model.data if f":{kind}" in key]
        if keys:
            self.s.remember()
            self.lossy |= set(self.s.executions)
            key = data.draw(st.sampled_from(sorted(keys)))
            self.evicted.add(key)
            del self.s.model.data[key]

    @precondition(lambda self: len(self.s.living) > 1)
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        self.s.kill(data.draw(self.any_instance))
        self.s.start_instance()

    # What may never be

    @invariant()
    def other_server_hears_of_it(self) -> None:
        kept = {key: copy.copy(value) for key, value in self.s.model.data.items()}
        self.copies.append((self.s.loop.time(), kept))

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert not self.s.wrong, self.s.wrong

    @invariant()
    def every_reader_has_each_event_once_and_in_order(self) -> None:
        for reader in self.s.readers:
            self.in_order(reader)

    def in_order(self, reader: Reader) -> None:
        expected = reader.after + 1
        for item in reader.records:
            if item.name == "gap":
                assert item.id >= expected, reader.records
                expected = item.id + 1
                continue
            assert item.id == expected, reader.records
            expected += 1
            if isinstance(item.event, Message):
                assert item.event.content.startswith(word(reader.run, item.id))
        assert not any(item.terminal for item in reader.records[:-1]), reader.records

    def teardown(self) -> None:
        try:
            if self.s.instances and not self.s.wrong:
                self.healthy()
        finally:
            logging.getLogger("bff").removeHandler(self.complaints)
            self.s.close()

    def healthy(self) -> None:
        """Everything has a way out: once trouble is over, all ends, and all can begin anew."""
        s = self.s
        s.network.heal()
        s.loop.advance(1)
        lost_a_withdrawal = s.network.failovers > 0
        assert lost_a_withdrawal or not s.ownerless(*s.living)
        s.loop.advance(6)
        for run_id in self.cancelled - self.lossy:
            assert s.executions[run_id].over, f"{run_id} is not cancelled"
        for run_id in self.forgotten - self.lossy:
            self.unknown(s.executions[run_id].run)
        for execution in list(s.executions.values()):
            s.end(execution)
        s.loop.advance(4)
        for instance in s.living:
            assert instance.replicas.all_settled, instance.replicas
            for place in PLACES:
                run = self.begun(instance, *place)
                if isinstance(run, SessionBusy):  # a dead owner's, whose lease was evicted
                    s.loop.advance(4)
                    run = self.begun(instance, *place)
                assert isinstance(run, Run), f"{place} is not free: {run!r}"
                s.end(s.executions[run.run_id])
        for reader in s.readers:
            self.in_order(reader)
            self.ended(reader)
        twice = len(s.told_interrupted) != len(set(s.told_interrupted))
        assert not twice or s.network.failovers, s.told_interrupted
        if len(s.instances) == len(s.living) + 1:  # whoever ended what the dead one left is alive
            for execution in s.executions.values():
                if s.model_status(execution.run) == "interrupted":
                    assert execution.run.run_id in s.told_interrupted, execution
        for execution in s.executions.values():
            assert execution.over, execution
            if execution.instance.alive and not execution.abandoned:
                gone = keys_of(execution.run).run in self.evicted
                place = (execution.run.owner, execution.run.session_id)
                # cut off with an end that nobody had heard of: whether that may be was asked then
                gone = gone or execution.run.run_id in s.told_interrupted
                gone = gone or place in self.deleted_from
                status = s.model_status(execution.run)
                replica = execution.instance.replicas.of(execution.run)
                assert gone or status == "complete", (execution, status, replica)
        assert not s.wrong, s.wrong

    def begun(self, instance: Instance, owner: str, session: str) -> Run | Exception:
        begun = self.s.begin(instance, owner, session)
        assert begun.done(), "begun for ever"
        outcome: Run | Exception = begun.result()
        return outcome

    def unknown(self, run: Run) -> None:
        for instance in self.s.living:
            finding = self.s.spawn(instance.log.find(run.owner, run.run_id))
            self.s.loop.settle()
            assert finding.result() is None, f"{run.run_id} is known on {instance}"

    def ended(self, reader: Reader) -> None:
        assert reader.task.done(), f"{reader.run.run_id} is followed for ever: {reader.records}"
        assert reader.records, reader.run.run_id
        last = reader.records[-1]
        assert last.terminal, reader.records
        execution = self.s.executions[reader.run.run_id]
        if execution.instance.alive and not execution.abandoned:
            # nobody brought it back in time
            gone = keys_of(reader.run).run in self.evicted or (
                reader.run.run_id in self.lossy
                and (
                    execution.instance.name in self.s.network.troubled_at
                    or self.s.network.failovers
                )
            )
            gone = gone or (reader.run.owner, reader.run.session_id) in self.deleted_from
            assert last.name == "done" or (gone and is_interruption(last)), reader.records
        log = self.s.model.data.get(keys_of(reader.run).log)
        if log and reader.run.run_id not in self.lossy and not is_interruption(last):
            assert f"{last.name} {last.data}" == log[-1]


SETTINGS = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
"""The same examples each time. `python -m tests.runs.valkey.test_simulation N` tries N others."""


def test_any_order_of_what_can_happen__touches_nobodys_run_but_its_own() -> None:
    run_state_machine_as_test(Machine, settings=SETTINGS)


def search() -> None:
    """Try so many examples; prints how an invariant was broken, and the way there."""
    phases = [Phase.generate] + ([Phase.shrink] if "--shrink" in sys.argv else [])
    try:
        run_state_machine_as_test(
            Machine,
            settings=settings(
                SETTINGS,
                max_examples=int(sys.argv[1]),
                derandomize="--same" in sys.argv,
                phases=phases,
            ),
        )
    except Exception as error:
        broken = traceback.extract_tb(error.__traceback__)[-1].line
        print(f"found: {broken}: {error}".partition("\n")[0])
        raise


if __name__ == "__main__":
    search()

from __future__ import annotations

import os
import threading
from functools import partial
from pathlib import Path

from bff.telemetry.log_writer import LineWriter


def test_a_reader_that_stalls__costs_lines_and_never_time() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    while True:
        try:
            os.write(writing, b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(writing, True)
    writer = LineWriter(writing, queue_lines=5)

    for number in range(1000):
        writer.write(str(number))
    writer.close(timeout_seconds=0.01)

    assert writer.dropped >= 1000 - 100 - 5 - 1
    os.close(reading)  # lets the thread go
    writer.close(timeout_seconds=10)
    os.close(writing)


def test_a_standard_output_that_does_not_block__gets_every_line() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    received = bytearray()

    def read() -> None:
        while data := os.read(reading, 4096):
            received.extend(data)

    reader = threading.Thread(target=read)
    writer = LineWriter(writing)
    for _ in range(50):
        writer.write("x" * 10_000)
    reader.start()
    writer.close(timeout_seconds=10)
    os.close(writing)
    reader.join(10)
    os.close(reading)

    assert bytes(received) == (b"x" * 10_000 + b"\n") * 50
    assert writer.dropped == 0


def test_lines__are_written_in_order_whoever_makes_them(tmp_path: Path) -> None:
    path = tmp_path / "out"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    writer = LineWriter(descriptor)

    for number in range(2000):
        writer.write(str(number) if number % 3 else partial(str, number))
    writer.close(timeout_seconds=10)
    os.close(descriptor)

    assert path.read_text().splitlines() == [str(number) for number in range(2000)]


def test_lines_of_several_threads__are_all_written(tmp_path: Path) -> None:
    path = tmp_path / "out"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    writer = LineWriter(descriptor, queue_lines=1_000_000)

    def write(name: str) -> None:
        for number in range(3000):
            writer.write(f"{name}{number}")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close(timeout_seconds=10)
    os.close(descriptor)

    assert sorted(path.read_text().splitlines()) == sorted(
        f"{name}{number}" for name in "abcd" for number in range(3000)
    )


def test_a_line_that_cannot_be_made__is_counted_and_stops_no_other(tmp_path: Path) -> None:
    path = tmp_path / "out"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    writer = LineWriter(descriptor)

    def broken() -> str:
        raise ValueError

    for line in ("one", broken, "two"):
        writer.write(line)
    writer.close(timeout_seconds=10)
    os.close(descriptor)

    assert path.read_text() == "one\ntwo\n"
    assert writer.dropped == 1


def test_a_line_alone__is_written_without_another_after_it() -> None:
    reading, writing = os.pipe()
    writer = LineWriter(writing)

    writer.write("alone")

    assert os.read(reading, 100) == b"alone\n"
    writer.write("again")
    assert os.read(reading, 100) == b"again\n"
    writer.close(timeout_seconds=10)
    os.close(reading)
    os.close(writing)

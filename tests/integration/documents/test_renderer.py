"""Rendering beside the event loop: parallel, outliving crashes, gone with its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from services.invoice_worker.documents import Renderer, RendererDiedError, render
from services.invoice_worker.documents.renderer import _processes_of
from tests.eventually import eventually
from tests.invoice_facts import sample_facts
from tests.process_facts import alive

FACT = sample_facts()["contract"]
FACT_JSON = msgspec.json.encode(FACT)
# A program that renders until it is told to stop, and prints its rendering processes.
PROGRAM = """
import asyncio, signal, sys
from services.invoice_worker.documents import Renderer
from services.invoice_worker.documents.renderer import _processes_of

async def main():
    fact = sys.stdin.buffer.read()
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with Renderer(2) as renderer:
        await asyncio.gather(*(renderer.render(fact) for _ in range(8)))
        print(*(process.pid for process in _processes_of(renderer._pool)), flush=True)
        while not stop.is_set():
            await renderer.render(fact)

if __name__ == "__main__":
    asyncio.run(main())
"""


async def test_renders_the_same_bytes_as_the_pure_function() -> None:
    async with Renderer(2) as renderer:
        several = await asyncio.gather(*(renderer.render(FACT_JSON) for _ in range(5)))
    assert several == [render(FACT)] * 5


async def test_the_event_loop_goes_on_while_documents_are_rendered() -> None:
    async with Renderer(1) as renderer:
        await renderer.render(FACT_JSON)
        work = asyncio.gather(*(renderer.render(FACT_JSON) for _ in range(20)))
        turns = 0
        while not work.done():
            turns += 1
            await asyncio.sleep(0)
    assert turns > 20 * 5, "far more turns of the loop than documents"


async def test_a_fact_that_cannot_be_rendered_fails_alone() -> None:
    bad = msgspec.json.encode(msgspec.structs.replace(FACT, note="\x00"))
    async with Renderer(1) as renderer:
        with pytest.raises(ValueError, match="XML compatible"):
            await renderer.render(bad)
        with pytest.raises(msgspec.DecodeError):
            await renderer.render(b"{")
        assert await renderer.render(FACT_JSON) == render(FACT)


async def test_a_lost_process_is_an_error_for_its_document_and_replaced_for_the_next() -> None:
    async with Renderer(2) as renderer:
        await renderer.render(FACT_JSON)
        assert renderer._pool is not None  # noqa: SLF001 - to kill a process like the kernel would
        lost = _processes_of(renderer._pool)  # noqa: SLF001 - as above
        waiting = [asyncio.ensure_future(renderer.render(FACT_JSON)) for _ in range(40)]
        lost[0].kill()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(end) for end in ended} <= {RendererDiedError, type(render(FACT))}
        assert RendererDiedError in {type(end) for end in ended}
        assert await renderer.render(FACT_JSON) == render(FACT)
    for process in lost:
        process.join(10)
        assert process.exitcode is not None


async def test_closing_keeps_its_deadline_whatever_is_rendered() -> None:
    line = FACT.lines[0]
    endless = msgspec.structs.replace(FACT, lines=(line,) * 20_000)
    async with Renderer(1, grace=0.5) as renderer:
        await renderer.render(FACT_JSON)
        waiting = asyncio.ensure_future(renderer.render(msgspec.json.encode(endless)))
        await asyncio.sleep(0)
        closing = time.monotonic()
    assert time.monotonic() - closing < 5
    with pytest.raises(RendererDiedError):
        await waiting


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_to_the_group_interrupts_no_rendering(
    name: signal.Signals, tmp_path: Path
) -> None:
    with _running(tmp_path) as (program, rendering):
        os.killpg(program.pid, name)
        _, errors = program.communicate(timeout=30)
        assert errors == b""
        assert program.returncode == 0
        await eventually(lambda: not any(map(alive, rendering)))


async def test_rendering_processes_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    with _running(tmp_path) as (program, rendering):
        assert all(map(alive, rendering))
        program.kill()
        await eventually(lambda: not any(map(alive, rendering)))


@contextmanager
def _running(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """Run the program in a group of its own; give it and the ids of its rendering processes."""
    script = folder / "program.py"
    script.write_text(PROGRAM)
    facts = folder / "fact.json"
    facts.write_bytes(FACT_JSON)
    root = Path(__file__).parents[3]
    with (
        facts.open("rb") as stdin,
        subprocess.Popen(
            [sys.executable, str(script)],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": str(root)},
        ) as program,
    ):
        assert program.stdout is not None
        try:
            yield program, [int(pid) for pid in program.stdout.readline().split()]
        finally:
            program.kill()

"""Stacks as data: py-spy's text read, own code told from libraries, the owner of the time found, the picture safe to open."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from agent import flamegraph
from agent.stacks import (
    Frame,
    Stack,
    collapsed,
    deepest_own,
    inclusive,
    owner,
    parse_dump,
    parse_raw,
    place,
    reweigh,
    rooted,
    total,
)

RECORDED = Path(__file__).parent / "fixtures" / "pyspy"
MAIN = Frame("main", "/srv/app/run.py", 3)
WORK = Frame("work", "/srv/app/work.py", 10)
SLOW = Frame("slow", "/srv/app/work.py", 20)
QUICK = Frame("quick", "/srv/app/work.py", 30)
DUMPS = Frame("dumps", "/usr/lib/python3.11/json/__init__.py", 231)


def stack(*frames: Frame, weight: float = 1.0, tid: int = 1, thread: str = "MainThread") -> Stack:
    """One stack, outermost frame first."""
    return Stack(tid, thread, frames, weight)


def test_a_recorded_profile_is_read_with_thread_ids_names_files_and_lines() -> None:
    """A real raw record of a json hotspot gives one stack with its thread and the own caller in it."""
    seen = max(parse_raw((RECORDED / "hotspot.raw").read_text()), key=lambda one: one.weight)
    assert (seen.thread, seen.weight > 0, seen.tid > 0) == ("MainThread", True, True)
    assert Frame("serialise", "/srv/app/hotspot.py", 6) in seen.frames


def test_a_recorded_dump_is_read_outermost_frame_first() -> None:
    """A real JSON dump of a blocked event loop ends in the line that blocks."""
    (thread,) = parse_dump((RECORDED / "loopblock.json").read_text())
    assert (thread.frames[0].function, str(thread.frames[-1])) == ("<module>", "fetch (/srv/app/loopblock.py:2)")


def test_odd_paths_and_native_frames_are_read() -> None:
    """Spaces, brackets and semicolons in a path, a frame without a line, and a thread without a name all survive."""
    text = (
        "thread (7);f (/srv/a;b (c) d/x.py:3);gc_collect_main (libpython3.11.so) 4\nthread (0x7F00): T;g (y.py:1) 2\nnonsense 3\n"
    )
    first, second = parse_raw(text)
    assert first.frames == (Frame("f", "/srv/a;b (c) d/x.py", 3), Frame("gc_collect_main", "libpython3.11.so", 0))
    assert (second.tid, second.thread) == (0x7F00, "T")


def test_text_that_is_no_dump_is_refused() -> None:
    """Anything but a list of threads is a ValueError."""
    with pytest.raises(ValueError):
        parse_dump('{"error": 1}')


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("/srv/app/main.py", "own"),
        ("/home/me/lib/python/train.py", "own"),
        ("<string>", "own"),
        ("/usr/lib/python3.11/threading.py", "stdlib"),
        ("/opt/conda/lib/python3.12/asyncio/events.py", "stdlib"),
        ("/opt/py/lib/python3.13t/queue.py", "stdlib"),
        ("<frozen importlib._bootstrap>", "stdlib"),
        ("/usr/lib/python3/dist-packages/numpy/core.py", "package"),
        ("/srv/venv/lib/python3.11/site-packages/torch/nn/functional.py", "package"),
    ],
)
def test_own_code_is_told_from_packages_and_the_standard_library(file: str, kind: str) -> None:
    """Only where a file lies decides, never what it is called."""
    assert place(file) == kind


def test_a_hotspot_inside_a_library_names_the_own_caller() -> None:
    """Time spent in json belongs to the own function that called it."""
    found = owner([stack(MAIN, WORK, DUMPS, weight=9), stack(MAIN, QUICK, weight=1)])
    assert found is not None
    assert (found.frame, found.share) == (WORK, 0.9)


def test_the_deepest_function_with_half_of_the_time_is_named() -> None:
    """A chain of callers above the hot function is not to blame."""
    found = owner([stack(MAIN, WORK, SLOW, weight=7), stack(MAIN, WORK, QUICK, weight=3)])
    assert found is not None
    assert (found.frame.function, found.share) == ("slow", 0.7)


def test_an_entry_that_only_passes_time_on_is_not_named() -> None:
    """A main function whose callees share the time evenly leaves the blame to the heaviest of them."""
    found = owner([stack(MAIN, SLOW, weight=4), stack(MAIN, QUICK, weight=3), stack(MAIN, WORK, weight=3)])
    assert found is not None
    assert (found.frame.function, found.share) == ("slow", 0.4)


def test_recursion_counts_once() -> None:
    """A function that stands in a stack three times owns that stack once."""
    assert inclusive([stack(WORK, WORK, WORK, weight=5)]) == {("work", "/srv/app/work.py"): 5}


def test_the_hottest_line_of_the_owner_is_given() -> None:
    """Among a function's lines the one with most weight is named, with its share of all."""
    found = owner([stack(SLOW._replace(line=21), weight=6), stack(SLOW._replace(line=22), weight=2)])
    assert found is not None
    assert (found.frame.line, found.line_share) == (21, 0.75)


def test_idle_threads_weigh_nothing_however_often_they_were_seen() -> None:
    """Samples are worth the CPU time the kernel counted for their thread."""
    seen = [stack(WORK, tid=1, weight=10), stack(SLOW, tid=2, weight=300)]
    weighed = reweigh(seen, {1: 2.0, 2: 0.0})
    assert [(s.tid, s.weight) for s in weighed] == [(1, 2.0)]


def test_stacks_torn_while_they_were_read_are_left_out() -> None:
    """A stack that lost its outer frames does not begin where the thread's others do."""
    good, torn = stack(MAIN, WORK, DUMPS, weight=9), stack(DUMPS, weight=2)
    other = stack(SLOW, tid=2)
    assert rooted([good, torn, other]) == [good, other]


def test_nobody_owns_time_that_was_not_spent() -> None:
    """No samples, or none with Python code that was installed or written, name nobody."""
    assert owner([]) is None
    assert owner([stack(DUMPS)]) is None


def test_without_own_code_the_innermost_package_is_named() -> None:
    """A service that was itself installed still gets a name."""
    package = Frame("handle", "/opt/venv/lib/python3.11/site-packages/service/app.py", 8)
    assert deepest_own((package, DUMPS)) == package
    found = owner([stack(package, DUMPS)])
    assert found is not None
    assert found.frame == package


def test_collapsed_text_reads_back_in_any_viewer() -> None:
    """Semicolons inside names are replaced, weights rounded, order steady."""
    text = collapsed([stack(WORK, weight=2.6, thread="a;b")])
    assert text == "a:b;work (/srv/app/work.py:10) 3\n"


def test_the_flame_graph_is_well_formed_and_inert_whatever_the_names_hold() -> None:
    """A hostile function name stays text: no element, no script, no address outside the file."""
    evil = Frame('</title><script>alert("1")</script>\x07\ud800', "/srv/x&y.py", 1)
    drawn = flamegraph.render([stack(MAIN, evil), stack(MAIN, WORK)], title="<b>job</b>", unit="samples")
    root = ElementTree.fromstring(drawn.encode())
    tags = {element.tag.rsplit("}", 1)[-1] for element in root.iter()}
    assert tags == {"svg", "style", "rect", "text", "g", "title"}
    assert "<script" not in drawn
    assert drawn.count("http") == 1  # the name space


def test_every_box_of_the_flame_graph_tells_its_share() -> None:
    """Hover titles carry weight and percentage."""
    drawn = flamegraph.render([stack(MAIN, WORK, weight=3), stack(MAIN, SLOW, weight=1)], title="t")
    assert "work (/srv/app/work.py:10): 3 samples, 75.0%" in drawn
    assert total([stack(MAIN, weight=3)]) == 3


def test_a_frame_that_stands_in_many_stacks_is_kept_once() -> None:
    """A look at hundreds of threads must not cost the agent a frame for each line of py-spy's text."""
    twice = json.dumps(json.loads((RECORDED / "loopblock.json").read_text()) * 2)
    raw = [stack.frames for stack in parse_raw((RECORDED / "hotspot.raw").read_text())]
    for stacks in (raw, [thread.frames for thread in parse_dump(twice)]):
        frames = [frame for stack in stacks for frame in stack]
        assert len({id(frame) for frame in frames}) == len(set(frames)) < len(frames)

import pytest

from agent.engine.entities import Entities
from agent.engine.expr import ExprError, Instance, Result, Round, Scope, compile_expr
from agent.engine.says import culprit
from agent.model import Event, labels
from tests.fakes.view import FakeView

GPU_0 = Instance({"gpu": "0", "uuid": "GPU-a", "pci": "0000:05:00.0"})
GPU_1 = Instance({"gpu": "1", "uuid": "GPU-b", "pci": "0000:06:00.0"})
HOST = Instance()
READ = FakeView.of({"kernel_log_records_total": "0+1x600"})
UNREAD = FakeView.of({"load": "1*601"})


def xid(at: float, number: int, pci: str = "0000:05:00", pid: int = 7) -> Event:
    """As the driver reports a program's fault."""
    fields = {"kind": "xid", "xid": number, "class": "application", "pci": pci, "pid": pid, "process": "python"}
    return Event(at, "kernel", (), f"Xid {number}", fields)


def ask(text: str, *events: Event, instance: Instance = HOST, read: bool = True) -> Result:
    """Judge once, ten minutes in."""
    known = READ if read else UNREAD
    view = FakeView(known.columns, known.now, list(events))
    return compile_expr(text, Scope({}, tuple(instance.labels))).evaluate(Round(view), instance)


def test_silence_of_a_log_that_is_read_is_nought() -> None:
    """A healthy host is known to be healthy."""
    assert ask("happened(kernel{kind='xid'}, 10m) > 0").value is False


def test_a_log_that_nobody_reads_says_nothing() -> None:
    """Neither true nor false, and the missing series is named."""
    result = ask("happened(kernel{kind='xid'}, 10m) > 0", xid(500, 13), read=False)
    assert (result.value, result.missing) == (None, ("kernel_log_records_total",))


def test_reports_of_one_burst_count_once() -> None:
    """Forty lines within seconds are one fault, a report minutes later is another."""
    assert ask("happened(kernel{xid='13'}, 10m)", *[xid(100 + i / 10, 13) for i in range(40)], xid(400, 13)).value == 2.0


def test_only_what_is_asked_for_counts() -> None:
    """Fields must fit, one of several values is enough, and the window ends by the reports' own times."""
    events = [xid(20, 48), xid(100, 43), xid(300, 95)]
    assert ask("happened(kernel{xid='48|95'}, 10m)", *events).value == 2.0
    assert ask("happened(kernel{xid='48|95'}, 400s)", *events).value == 1.0
    assert ask("happened(kernel{kind='oom_kill'}, 10m)", *events).value == 0.0


def test_what_any_user_could_have_written_does_not_count() -> None:
    """Only the kernel's own word opens a case."""
    forged = Event(300, "kernel", (), "", {"kind": "xid", "xid": 79}, trusted=False)
    assert ask("happened(kernel{kind='xid'}, 10m)", forged).value == 0.0


def test_a_gpu_hears_only_of_itself() -> None:
    """The driver writes addresses without the function, NVML with it."""
    events = [xid(100, 13), xid(300, 31, "0000:06:00")]
    assert ask("happened(kernel{kind='xid'}, 10m)", *events, instance=GPU_0).value == 1.0
    assert ask("happened(kernel{xid='31'}, 10m)", *events, instance=GPU_0).value == 0.0
    assert ask("happened_elsewhere(kernel{xid='31'}, 10m)", *events, instance=GPU_0).value == 1.0
    assert ask("happened_elsewhere(kernel{xid='31'}, 10m)", *events, instance=GPU_1).value == 0.0


def test_what_is_about_no_gpu_is_not_about_this_one() -> None:
    """A memory kill of a process is no GPU's business, but the host's."""
    kill = Event(300, "kernel", (), "", {"kind": "oom_kill", "pid": 7})
    assert ask("happened(kernel{kind='oom_kill'}, 10m)", kill, instance=GPU_0).value == 0.0
    assert ask("happened(kernel{kind='oom_kill'}, 10m)", kill).value == 1.0


def test_whom_a_report_names_is_to_blame_the_newest_first() -> None:
    """The process with its name, and the text as it was."""
    result = ask("happened(kernel{kind='xid'}, 10m) > 0", xid(100, 13, pid=7), xid(300, 43, pid=8))
    entities = Entities.of(Round(READ))
    first, second = (culprit(found, entities) for found in result.culprits)
    assert first is not None
    assert second is not None
    assert (first.kind, first.name, first.pid, first.pci, first.detail) == ("process", "python", 8, "0000:05:00", "Xid 43")
    assert second.pid == 7


def test_the_cgroup_of_a_killed_process_is_named_beside_it() -> None:
    """Its limit is what was hit."""
    kill = Event(300, "kernel", (), "Killed process 7", {"kind": "oom_kill", "pid": 7, "process": "trainer", "memcg": "/job_7"})
    entities = Entities.of(Round(READ))
    named = [culprit(found, entities) for found in ask("happened(kernel{kind='oom_kill'}, 10m) > 0", kill).culprits]
    assert [(c.kind, c.name) for c in named if c is not None] == [("process", "trainer"), ("cgroup", "/job_7")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("happened(kernl{kind='xid'}, 10m) > 0", "unknown kind of event 'kernl'"),
        ("happened(kernel{knid='xid'}, 10m) > 0", "kernel has no label 'knid'"),
        ("happened(kernel{kind='xid'}) > 0", "takes a kind of event and a window"),
        ("happened(kernel{kind='xid', kind='sxid'}, 10m) > 0", "label 'kind' is there twice"),
        ("any_of(happened(kernel, 10m) > 0)", "events are no series"),
        ("happened(kernel{kind=xid}, 10m) > 0", "expected a text, found 'xid'"),
    ],
)
def test_slips_are_explained(text: str, message: str) -> None:
    """Each says what is wrong with it."""
    with pytest.raises(ExprError) as caught:
        compile_expr(text, Scope({}))
    assert message in str(caught.value)


def test_labels_that_name_a_link_or_a_gpu() -> None:
    """A link belongs to its GPU; one that only the kernel knows goes by its address."""
    entities = Entities.of(Round(READ))
    link = culprit(labels(gpu=3, uuid="GPU-a", pci="0000:05:00.0", link=4), entities)
    assert link is not None
    assert (link.kind, link.name, link.uuid, link.pci) == ("link", "link 4 of GPU 3 (GPU-a, 0000:05:00.0)", "GPU-a", "0000:05:00.0")
    unlisted = culprit(labels(gpu="", uuid="", pci="0000:05:00"), entities)
    assert unlisted is not None
    assert (unlisted.kind, unlisted.name, unlisted.uuid, unlisted.pci) == ("gpu", "GPU 0000:05:00", None, "0000:05:00")


def test_how_long_ago_the_newest_report_was() -> None:
    """A server that was silent and has answered since is back; what never happened is endlessly long ago."""
    silent, back = (Event(at, "kernel", (), "", {"kind": kind}) for at, kind in ((300, "nfs_not_responding"), (420, "nfs_ok")))
    still = "since(kernel{kind='nfs_not_responding'}, 10m) < since(kernel{kind='nfs_ok'}, 10m)"
    assert ask("since(kernel{kind='nfs_not_responding'}, 10m)", silent).value == 300.0
    assert ask("since(kernel{kind='nfs_ok'}, 10m)", silent).value == float("inf")
    assert ask(still, silent).value is True
    assert ask(still, silent, back).value is False
    assert ask(still).value is False
    assert ask(still, silent, read=False).value is None

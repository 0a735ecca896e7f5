"""tests/ mirrors agent/: whoever changes a file knows where its tests are, and no file is without any."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

TESTS = Path(__file__).resolve().parent
AGENT = TESTS.parent / "agent"

ELSEWHERE = {
    "web/request.py": ("web/test_incidents.py", "what every route asks of a request is asked there by real ones"),
    # file: the tests that hold it, and why they are not its own
    "__main__.py": ("acceptance/test_bad_input.py", "every call there goes through it"),
    "alerts/addresses.py": ("alerts/test_senders.py", "addresses are read when something is sent"),
    "alerts/answers.py": ("alerts/test_courier.py", "what people ask of a running courier"),
    "alerts/notifier.py": ("alerts/test_apprising.py", "the process that is asked there"),
    "alerts/organ.py": ("alerts/test_courier.py", "courier, keepers and postmen are held as the organ they make"),
    "alerts/outbox.py": ("alerts/test_plan.py", "every plan there goes through it and its tables"),
    "alerts/routing.py": ("alerts/test_plan.py", "and cli/test_alerts.py: routes decide who is told"),
    "alerts/trouble.py": ("alerts/test_courier.py", "receivers in trouble are the courier's"),
    "cli/approve.py": ("cli/test_playbooks.py", "a word about a playbook"),
    "cli/audit.py": ("cli/test_playbooks.py", "a word about playbooks"),
    "cli/deny.py": ("cli/test_playbooks.py", "a word about a playbook"),
    "cli/doctor.py": ("reports/test_doctor.py", "it prints the checks"),
    "cli/files.py": ("cli/test_cli.py", "it prints what agent/data.py finds"),
    "cli/pause.py": ("cli/test_playbooks.py", "a word about playbooks"),
    "drill/patient.py": ("drill/test_runner.py", "a patient is started and ended by a run"),
    "drill/pythons.py": ("drill/test_runner.py", "interpreters are chosen for a run"),
    "drill/rename.py": ("drill/test_variant.py", "renaming is a part of making a variant"),
    "drill/words.py": ("drill/test_variant.py", "names for variants"),
    "engine/build.py": ("engine/test_load.py", "trees are built when they are loaded"),
    "engine/calls.py": ("engine/test_checker.py", "calls are checked with the expression they stand in"),
    "engine/findings.py": ("engine/test_diagnose.py", "one step of a diagnosis"),
    "engine/incidentbook.py": ("engine/test_incidents.py", "every step is a draft of the book"),
    "engine/incident.py": ("incidents/test_tables.py", "the words of incidents, and both ways through JSON"),
    "engine/remains.py": ("engine/test_diagnose.py", "one step of a diagnosis"),
    "engine/schedule.py": ("engine/test_diagnose.py", "one step of a diagnosis"),
    "host/become.py": ("cli/test_sim.py", "a command hands over to a program"),
    "host/clock.py": ("test_daemon.py", "the real clock is the daemon's"),
    "host/nvml_asked.py": ("host/test_nvml.py", "it runs in the process those tests start"),
    "host/nvml_desk.py": ("host/test_nvml.py", "it runs in the process those tests start"),
    "host/nvml_device.py": ("host/test_nvml.py", "it runs in the process those tests start"),
    "host/nvml_worker.py": ("host/test_nvml_child.py", "the process those tests start"),
    "host/session.py": ("host/test_attach.py", "one step of an attach"),
    "organ.py": ("test_daemon.py", "only what every organ of the daemon promises"),
    "remedy/answers.py": ("web/test_playbooks.py", "what the socket answers"),
    "remedy/people.py": ("remedy/test_carry.py", "people's words, and test_runner.py"),
    "sim/show.py": ("cli/test_sim.py", "the command prints it"),
    "store/database.py": ("store/test_state.py", "what the state asks of SQLite"),
    "store/index.py": ("store/test_ring.py", "the ring's own index"),
    "store/writer.py": ("store/test_state.py", "the state's own lane"),
    "web/api.py": ("web/test_sock.py", "what the socket answers"),
    "web/guard.py": ("web/test_server.py", "both doors stand behind it"),
    "yamlunits.py": ("test_yamlfile.py", "quantities are read with the file they stand in"),
}
ACROSS = {
    # tests of what no single file does
    "test_rules.py",
    "alerts/test_alertmanager_real.py",
    "alerts/test_kills.py",
    "alerts/test_quiet_day.py",
    "alerts/test_series_to_message.py",
    "acceptance/test_bad_input.py",
    "acceptance/test_gpus.py",
    "acceptance/test_playbooks.py",
    "acceptance/test_rewind.py",
    "actions/test_pid_reuse.py",
    "actions/test_processes.py",
    "actions/test_real_effects.py",
    "actions/test_kubectl_real.py",
    "actions/test_slurm_real.py",
    "remedy/test_dry_run.py",
    "actions/test_programs.py",
    "reports/test_writing.py",
    "acceptance/test_unit.py",
    "cli/test_cli.py",
    "collectors/test_declarations.py",
    "collectors/test_processes_real.py",
    "collectors/test_processes_subjects.py",
    "collectors/test_processes_sweep.py",
    "collectors/test_real.py",
    "engine/test_invariants.py",
    "sim/test_calls.py",
    "sim/test_events.py",
    "sim/test_nvitop.py",
    "sim/test_structures.py",
    "fakes/test_clock.py",
    "fakes/test_view.py",
    "test_casework_incidents.py",
    "test_contracts.py",
    "test_docs.py",
    "test_layout.py",
}


def files() -> list[str]:
    """Every file of the agent, but the marks of its folders."""
    found = (path.relative_to(AGENT).as_posix() for path in AGENT.rglob("*.py") if "_data" not in path.parts)
    return sorted(name for name in found if not name.endswith("__init__.py"))


@cache
def imports(path: Path) -> frozenset[str]:
    """Modules of the agent that a file imports, as ``room/file.py``."""
    found = {module for node in ast.walk(ast.parse(path.read_text())) for module in _modules(node)}
    return frozenset(f"{m.removeprefix('agent.').replace('.', '/')}.py" for m in found if m.startswith("agent."))


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def own_test(name: str) -> str:
    """Where the tests of a file belong; a shared helper's name is without its underscore."""
    path = Path(name)
    return (path.parent / f"test_{path.stem.lstrip('_')}.py").as_posix()


def held() -> set[str]:
    """Files with tests of their own or imported by some; shared helpers of a folder through the plug-ins that use them."""
    direct = {module for path in TESTS.rglob("test_*.py") for module in imports(path)}
    found = {name for name in files() if name in direct or (TESTS / own_test(name)).exists()}
    while more := {n for name in found for n in imports(AGENT / name) if _helper_of(n, name)} - found:
        found |= more
    return found


def _helper_of(helper: str, name: str) -> bool:
    return Path(helper).name.startswith("_") and Path(helper).parent == Path(name).parent and (AGENT / helper).exists()


def test_every_file_of_the_agent_has_tests() -> None:
    """Its own in the same room, or ones that import it, or a named place with the reason."""
    bare = sorted(set(files()) - held() - set(ELSEWHERE))
    assert not bare, f"without tests: {', '.join(bare)}"


def test_every_test_file_belongs_to_a_file_of_the_agent() -> None:
    """Or is named as one that looks across."""
    own = {own_test(name) for name in files()}
    strays = {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")} - own - ACROSS
    assert not strays, f"of no file: {', '.join(sorted(strays))}"


def test_the_list_of_exceptions_holds_nothing_that_is_no_more() -> None:
    """A file that has got tests of its own leaves it."""
    assert not set(ELSEWHERE) - set(files())
    assert not [name for name in ELSEWHERE if (TESTS / own_test(name)).exists()]
    assert not [place for place, _ in ELSEWHERE.values() if not (TESTS / place).exists()]

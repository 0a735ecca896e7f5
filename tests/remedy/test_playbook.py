"""Playbooks as YAML writes them."""

from __future__ import annotations

import pytest

from agent.remedy.playbook import allowed_mode, load_playbooks
from tests.fakes.remedyworld import CALM, CAUSES, RECYCLE, SPECS, playbooks


def test_a_playbook_says_what_to_do_about_what() -> None:
    """With the defaults that are safe."""
    calm = playbooks(CALM, RECYCLE)["calm"]
    assert (calm.class_, calm.needs.confidence, calm.limits.attempts_per_incident, calm.next) == ("reversible", 0.7, 2, "recycle")
    assert playbooks(CALM.replace("mode: auto\n", ""), RECYCLE)["calm"].mode == "dry-run"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("memory.python-leak", "memory.python-leek"), "unknown cause 'memory.python-leek'"),
        (("do: renice", "do: renise"), "unknown action 'renise'"),
        (("do: renice", "do: restart"), "'restart' is disruptive, the playbook says reversible"),
        (("next: recycle", "next: recicle"), "unknown playbook 'recicle'"),
        (("next: recycle", "next: calm"), "'calm' leads back to itself"),
        (("class: reversible", "class: revertible"), "expected one of"),
        (("steps: [{do: renice}]", "steps: []"), "a playbook needs steps"),
        (("cooldown", "cooldwon"), ""),
    ],
)
def test_every_mistake_has_its_place(change: tuple[str, str], said: str) -> None:
    """All at once, with file, line and column."""
    _, problems = load_playbooks({"p.yaml": CALM.replace(*change), "q.yaml": RECYCLE}, SPECS, CAUSES)
    if said:
        assert any(said in str(p) and str(p).startswith("p.yaml:") for p in problems), problems


def test_what_cannot_be_undone_is_never_destructive_by_itself() -> None:
    """A person must agree."""
    _, problems = load_playbooks({"p.yaml": RECYCLE.replace("class: disruptive", "class: destructive")}, SPECS, CAUSES)
    assert ["is never automatic" in str(p) for p in problems] == [True]


@pytest.mark.parametrize(("ceiling", "mode"), [("dry-run", "dry-run"), ("propose", "propose"), ("auto", "auto")])
def test_the_host_has_the_last_word_on_the_mode(ceiling: str, mode: str) -> None:
    """A playbook never does more than the ceiling."""
    assert allowed_mode(playbooks(CALM, RECYCLE)["calm"], ceiling) == mode  # type: ignore[arg-type]


def test_rules_of_ones_own_need_not_have_every_cause_of_the_shipped_playbooks() -> None:
    """But those of the site must name causes there are."""
    own = {"o.yaml": CALM.replace("memory.python-leak", "memory.none").replace("calm", "own")}
    shipped = {"p.yaml": CALM, "q.yaml": RECYCLE}
    assert not load_playbooks(shipped, SPECS, ["memory.oom-risk"], overlay_only=True)[1]
    _, problems = load_playbooks(shipped, SPECS, ["memory.oom-risk"], own, overlay_only=True)
    assert ["unknown cause 'memory.none'" in str(p) for p in problems] == [True]

"""Loading rules: every mistake at once, at its place, with a mend."""

from __future__ import annotations

from agent.engine.load import load_rules
from agent.model import Severity
from tests.fakes.rules import CATALOG, rule_set

TREE = """
tree: memory
sop: ["3.1 memory_issues"]
each: [pid]
symptom:
  when: "grow(process_anonymous_bytes, 30s) > 2MiB / 1m"
  for: 2m
  severity: warning
checks:
  - {id: steep, sop: usage, expr: "grow(process_anonymous_bytes, 30s) > 2MiB / 1m"}
  - {id: one_site, cost: heavy, if: steep, probe: memray, with: {seconds: 8}, expr: "leak_share > 50%"}
causes:
  memory.python-leak:
    title: It leaks
    require: [one_site]
    support: {one_site: 0.7, steep: 0.3}
    leads_to: [memory.oom-risk]
    sop: memory cleanup
  memory.oom-risk: {title: It will be killed, support: {steep: 0.6}, severity: critical}
"""


def complaints(*texts: str, **options: float) -> list[str]:
    """All problems of these files."""
    _, problems = load_rules({f"t{i}.yaml": text for i, text in enumerate(texts)}, CATALOG, **options)
    return [str(p) for p in problems]


def test_a_tree_arrives_compiled_and_resolved() -> None:
    """Severities, costs, settings and sentences of the procedure are settled at load."""
    rules = rule_set(TREE)
    tree = rules.trees["memory"]
    assert (tree.each, tree.symptom.for_, tree.symptom.severity) == (("pid",), 120.0, Severity.WARNING)
    check = tree.checks["one_site"]
    assert (check.probe, check.cost, check.settings) == ("memray", "heavy", (("seconds", 8.0),))
    leak, risk = rules.causes["memory.python-leak"], rules.causes["memory.oom-risk"]
    assert (leak.severity, risk.severity) == (Severity.WARNING, Severity.CRITICAL)
    assert (leak.sop, leak.checks) == (("memory cleanup",), ("one_site", "steep"))
    assert rules.warnings == ()


def test_every_mistake_is_named_at_its_place() -> None:
    """A file with many slips shows them all in one run, none of them twice and none that is not one."""
    bad = (
        TREE.replace("for: 2m", "fr: 2m")
        .replace("leak_share > 50%", "leek_share > 50%")
        .replace("seconds: 8", "second: 8")
        .replace("require: [one_site]", "require: [one_sight]")
        .replace("steep: 0.6", "steep: 1.6")
        .replace("leads_to: [memory.oom-risk]", "leads_to: [memory.oom-rysk]")
    )
    assert complaints(bad) == [
        "t0.yaml:7:3: unknown key 'fr'; did you mean 'for'?",
        "t0.yaml:11:66: unknown setting 'second'; did you mean 'seconds'?",
        "t0.yaml:11:85: unknown series, answer or check 'leek_share'; did you mean 'leak_share'?",
        "t0.yaml:15:15: unknown check 'one_sight'; did you mean 'one_site'?",
        "t0.yaml:17:16: unknown cause 'memory.oom-rysk'; did you mean 'memory.oom-risk'?",
        "t0.yaml:19:57: a weight is above 0 and at most 1, got 1.6",
    ]


def test_names_must_be_where_they_belong() -> None:
    """Order of checks, words of ids, probes and their costs are checked too."""
    late = TREE.replace('id: steep, sop: usage, expr: "', 'id: steep, expr: "one_site and ')
    assert "check 'one_site' is declared below; move it up" in complaints(late)[0]
    assert "unknown topic 'memroy'; did you mean 'memory'?" in complaints(TREE.replace("memory.oom-risk", "memroy.oom-risk"))[0]
    assert "unknown probe 'memry'; did you mean 'memray'?" in "".join(complaints(TREE.replace("probe: memray", "probe: memry")))
    assert len(complaints(TREE.replace("probe: memray", "probe: memry"))) == 1
    assert "costs at least 'heavy'" in complaints(TREE.replace("cost: heavy", "cost: free"))[0]
    assert "'with' needs a 'probe'" in "".join(complaints(TREE.replace("probe: memray, ", "").replace("leak_share > 50%", "steep")))
    assert "unknown label 'pod'" in complaints(TREE.replace("[pid]", "[pod]"))[0]
    assert "a condition must be true or false" in complaints(TREE.replace(' > 2MiB / 1m"\n  for', '"\n  for'))[0]
    assert "expected a number, got 'lots'" in complaints(TREE.replace("seconds: 8", "seconds: lots"))[0]
    assert "is declared twice" in "".join(complaints(TREE.replace("id: one_site", "id: steep")))
    assert "nothing can make it active" in complaints(TREE.replace("support: {steep: 0.6}", "require: [steep]"))[0]


def test_what_a_suspicion_is_about_must_be_there() -> None:
    """A cause of any tree, or a topic that has some."""
    assert complaints(TREE.replace("for: 2m", "for: 2m\n  suspicion: [memory, memory.oom-risk]")) == []
    said = complaints(TREE.replace("for: 2m", "for: 2m\n  suspicion: [memory.oom-rysk]"))
    assert "unknown cause or topic 'memory.oom-rysk'; did you mean 'memory.oom-risk'?" in said[0]


def test_causes_must_not_lead_to_themselves() -> None:
    """A circle is shown once, as a way."""
    ring = TREE.replace("support: {steep: 0.6}", "support: {steep: 0.6}, leads_to: [memory.python-leak]")
    assert complaints(ring) == [
        "t0.yaml:17:16: 'leads_to' goes in a circle: memory.python-leak → memory.oom-risk → memory.python-leak"
    ]


def test_one_tree_and_one_cause_live_in_one_file() -> None:
    """A second file with the same tree, or with a cause of the same id, is refused."""
    said = complaints(TREE, TREE.replace("tree: memory", "tree: other"), TREE)
    assert "t1.yaml:13:3: cause 'memory.python-leak' is declared twice; let the other tree lead to it" in said
    assert "t2.yaml:2:7: tree 'memory' is in two files" in said


def test_a_tree_with_a_mistake_does_not_take_the_others_along() -> None:
    """Good trees load beside a bad one, and causes of the bad one may still be led to."""
    other = (
        "tree: other\nsymptom: {when: host_load1 > 4}\nchecks: [{id: busy, expr: host_load1 > 4}]\n"
        "causes: {host.busy: {title: t, support: {busy: 0.6}, leads_to: [memory.oom-risk]}}"
    )
    rules, problems = load_rules({"a": TREE.replace("2MiB / 1m", "2MiB"), "b": other, "c": "tree: ["}, CATALOG)
    assert list(rules.trees) == ["other"]
    assert {p.file for p in problems} == {"a", "c"}


def test_a_site_lays_its_changes_over_a_tree_by_id() -> None:
    """An overlay replaces keys of what it names, adds what is new, and its own mistakes carry its own place."""
    over = (
        "tree: memory\nsymptom: {for: 10m}\n"
        "checks: [{id: steep, expr: process_threads > 3}, {id: extra, expr: process_threads > 9}]\n"
        "causes: {memory.oom-risk: {severity: notice, support: {extra: 0.9}}}"
    )
    rules, problems = load_rules({"memory.yaml": TREE}, CATALOG, overlay={"site.yaml": over})
    assert problems == []
    tree = rules.trees["memory"]
    assert (tree.symptom.for_, tree.symptom.severity, list(tree.checks)) == (
        600.0,
        Severity.WARNING,
        ["steep", "one_site", "extra"],
    )
    assert (tree.checks["steep"].expr.text, tree.checks["steep"].sop) == ("process_threads > 3", "usage")
    risk = rules.causes["memory.oom-risk"]
    assert (risk.severity, risk.support, risk.title) == (Severity.NOTICE, {"extra": 0.9}, "It will be killed")
    _, problems = load_rules({"memory.yaml": TREE}, CATALOG, overlay={"site.yaml": over.replace("extra: 0.9", "extr: 0.9")})
    assert [str(p) for p in problems] == ["site.yaml:4:56: unknown check 'extr'; did you mean 'extra'?"]


def test_warnings_stop_nothing() -> None:
    """A window longer than the kept history and a check that nothing uses are worth a word."""
    spare = TREE.replace("causes:", '  - {id: spare, expr: "avg(process_threads, 2h) > 3"}\ncauses:')
    rules, problems = load_rules({"t.yaml": spare}, CATALOG, memory=3600.0)
    assert problems == []
    assert [str(w) for w in rules.warnings] == [
        "t.yaml:12:10: check 'spare' is used by no cause and no other check",
        "t.yaml:12:23: a window of 7200 s is longer than the 3600 s that are kept; without a recording the answer is unknown",
    ]

"""Rule tests test rules; these test the rule tests."""

from __future__ import annotations

from agent.engine import mutate
from agent.engine.ruletest import Seen, run
from agent.engine.ruletestcases import load_cases
from tests.fakes.rules import CATALOG, rule_set

RULES = rule_set(
    """
tree: memory
each: [pid]
symptom: {when: "process_threads > 10", clear: "process_threads < 5", for: 10s, keep_for: 10s}
checks:
  - {id: many, expr: "process_threads > 10"}
  - {id: one_site, if: many, probe: memray, expr: "leak_share > 50%"}
causes:
  memory.thread-leak: {title: Threads grow, require: [one_site], support: {one_site: 0.7, many: 0.3}}
  memory.many-threads: {title: There are many, support: {many: 0.5}, severity: notice}
"""
)
CASES = """
interval: 1s
trees: [memory]
cases:
  - name: a look names the place
    input: {"process_threads{pid=1}": 1*20 20*40 1*40}
    probes: {memray: {answers: {leak_share: 0.9}, culprits: {leak_share: [{kind: code, name: make, file: app.py, line: 7}]}}}
    expect:
      - {at: 10s, state: ok, root: none, verdict: ok, checks: {many: false, one_site: skipped}, ruled_out: [memory.thread-leak]}
      - {at: 25s, state: pending}
      - {at: 40s, state: firing, root: memory.thread-leak, roots: [memory.thread-leak, memory.many-threads],
         checks: {memory.many: true}, causes: {memory.thread-leak: ">= 0.79"}, culprit: {file: app.py, line: 7}, severity: warning}
      - {at: 80s, state: resolved}
  - name: a look that says no
    input: {"process_threads{pid=1}": 11*60}
    probes: {"memray{pid=1}": {leak_share: 0.2}}
    expect: [{at: 30s, root: memory.many-threads, possible: [], checks: {one_site: false}}]
  - name: without a look it stays possible
    input: {"process_threads{pid=1}": 20*60}
    expect: [{at: 30s, possible: [memory.thread-leak], unknown: [one_site], wanted: [memray], consequences: [], elsewhere: []}]
  - name: between the thresholds it stays
    input: {"process_threads{pid=1}": 20*30 7*40}
    expect: [{at: 65s, state: firing}]
  - name: an ended process closes as gone
    input: {"process_threads{pid=1}": 20*30}
    events: [{at: 30s, kind: entity_ended, labels: {pid: 1}}]
    expect: [{at: 60s, state: gone, root: none, unknown: [process_threads]}]
"""


def test_good_cases_pass_and_cover_the_rules() -> None:
    """States, roots, answers, intervals and culprits are compared; what no case shows is listed."""
    cases, problems = load_cases({"t.yaml": CASES}, RULES, CATALOG)
    assert problems == []
    seen = Seen()
    assert [str(r) for r in run(RULES, cases, seen)] == [f"t.yaml: {c.name}: ok" for c in cases]
    assert seen.unseen(RULES) == []
    alone = Seen()
    run(RULES, cases[2:3], alone)
    assert alone.unseen(RULES) == [
        "check memory.many was never false",
        "check memory.one_site was never true",
        "check memory.one_site was never false",
        "cause memory.thread-leak was never a root",
    ]


def test_cases_start_from_what_their_file_says() -> None:
    """A file's series and looks are every case's; a case replaces one, or takes it away with ``_`` or ``null``."""
    shared = """
input: {"process_threads{pid=1}": 20*60}
probes: {memray: {answers: {leak_share: 0.9}, culprits: {leak_share: [{kind: code, name: make}]}}}
cases:
  - name: as the file says
    expect: [{at: 30s, root: memory.thread-leak, culprit: {name: make}}]
  - name: another place
    probes: {memray: {culprits: {leak_share: [{kind: code, name: keep}]}}}
    expect: [{at: 30s, root: memory.thread-leak, culprit: {name: keep}}]
  - name: an answer that could not be had
    probes: {memray: {leak_share: null}}
    expect: [{at: 30s, possible: [memory.thread-leak], checks: {one_site: unknown}}]
  - name: a look refused
    probes: {memray: {because: no rights, try: be root}}
    expect: [{at: 30s, possible: [memory.thread-leak], checks: {one_site: skipped}}]
  - name: another look
    probes: {memray: {leak_share: 0.1}}
    expect: [{at: 30s, checks: {one_site: false}}]
  - name: no look
    probes: {memray: null}
    expect: [{at: 30s, possible: [memory.thread-leak], wanted: [memray]}]
  - name: other figures
    input: {"process_threads{pid=1}": 2*60}
    expect: [{at: 30s, root: none, checks: {many: false}}]
  - name: no figures
    input: {"process_threads{pid=1}": "_"}
    expect: [{at: 30s, root: none, checks: {many: unknown}, unknown: [process_threads]}]
"""
    cases, problems = load_cases({"t.yaml": shared}, RULES, CATALOG)
    assert problems == []
    assert [r.failures for r in run(RULES, cases)] == [()] * 8
    _, problems = load_cases({"t.yaml": shared.replace("20*60", "20x60")}, RULES, CATALOG)
    assert [str(p) for p in problems] == ["t.yaml:2:35: cannot read '20x60'; write runs like 0.1*30, 0+1x60 or _*5"]


def test_a_wrong_expectation_says_what_came_instead() -> None:
    """Each line names the time, what is, and what was expected."""
    wrong = """
cases:
  - name: all wrong
    input: {"process_threads{pid=1}": 20*60}
    probes: {memray: {leak_share: 0.9}}
    expect:
      - {at: 30s, state: ok, root: none, verdict: ok, severity: critical, checks: {many: false}, unknown: [many],
         causes: {memory.thread-leak: "< 0.5"}, ruled_out: [memory.thread-leak], possible: [memory.thread-leak],
         culprit: {line: 7}, wanted: [memray]}
"""
    cases, problems = load_cases({"t.yaml": wrong}, RULES, CATALOG)
    assert problems == []
    assert list(run(RULES, cases)[0].failures) == [
        "at 30 s: state is firing, expected ok",
        "at 30 s: root is memory.thread-leak, expected none",
        "at 30 s: wanted is nothing, expected memray",
        "at 30 s: memory.thread-leak is not in possible: nothing",
        "at 30 s: memory.thread-leak is not in ruled_out: nothing",
        "at 30 s: severity is warning, expected critical",
        "at 30 s: verdict is warning, expected ok",
        "at 30 s: check many is true, expected false",
        "at 30 s: many is not unknown",
        "at 30 s: lo of memory.thread-leak is 0.79, expected < 0.5",
        "at 30 s: culprit's line is none, expected 7",
    ]


def test_mistakes_in_a_test_file_are_named_at_their_place() -> None:
    """Unknown series, labels, probes, answers, causes and runs that cannot be read."""
    bad = """
trees: [memroy]
cases:
  - name: bad
    input: {"process_thread{pid=1}": 1*2, "process_threads{}": 1*2, "host_load1": 1x2, "a b": 1*2}
    probes: {memry: {x: 1}, memray: {leek_share: 1}}
    expect: [{at: 1s, root: memory.leak, checks: {mani: true}, causes: {memory.thread-leak: high}, culprit: {lin: 1}}]
"""
    _, problems = load_cases({"t.yaml": bad, "u.yaml": "cases: ["}, RULES, CATALOG)
    assert [str(p) for p in problems][:-1] == [
        "t.yaml:2:9: unknown tree 'memroy'; did you mean 'memory'?",
        "t.yaml:5:13: unknown series 'process_thread'; did you mean 'process_threads'?",
        "t.yaml:5:43: process_threads has the labels {pid}",
        "t.yaml:5:83: cannot read '1x2'; write runs like 0.1*30, 0+1x60 or _*5",
        "t.yaml:5:88: cannot read 'a b'; write name{label=value}",
        "t.yaml:6:14: unknown probe 'memry'; did you mean 'memray'?",
        "t.yaml:6:38: unknown answer 'leek_share'; did you mean 'leak_share'?",
        "t.yaml:7:29: unknown cause 'memory.leak'; did you mean 'memory.thread-leak'?",
        "t.yaml:7:51: unknown check 'mani'; did you mean 'many'?",
        "t.yaml:7:93: cannot read 'high'; write '>= 0.7' or '< 0.5'",
        "t.yaml:7:110: unknown key of a culprit 'lin'; did you mean 'line'?",
    ]
    assert problems[-1].file == "u.yaml"


def test_mutation_finds_what_no_case_would_notice() -> None:
    """Turned comparisons and scaled thresholds are caught by cases that look closely, and survive those that do not."""
    cases, _ = load_cases({"t.yaml": CASES}, RULES, CATALOG)
    (full,) = mutate.scores(RULES, cases)
    assert (full.tree, full.total, full.caught, full.survivors) == ("memory", 8, 8, ())
    (weak,) = mutate.scores(RULES, cases[2:3], {"memory"})
    assert weak.share < 0.5
    assert "memory symptom clear: '<' became '>' at column 17 in 'process_threads < 5'" in weak.survivors
    assert mutate.scores(RULES, cases, {"other"}) == []


def test_a_change_that_no_case_shows_is_not_caught_by_a_late_answer() -> None:
    """Live, an answer over ten minutes may be half a minute old; a change must not be noticed for that."""
    rules = rule_set("{tree: memory, each: [pid], symptom: {when: 'max(process_threads, 10m) > 10'}, checks: [], causes: {}}")
    story = """
cases:
  - name: many threads at once
    input: {"process_threads{pid=1}": 3*600 200*60}
    expect: [{at: 595s, state: ok}, {at: 600s, state: firing}]
"""
    cases, problems = load_cases({"t.yaml": story}, rules, CATALOG)
    assert problems == []
    (found,) = mutate.scores(rules, cases)
    assert found.survivors == ("memory symptom when: '10' became '100' at column 29 in 'max(process_threads, 10m) > 10'",)


def test_mutation_feels_what_only_strangers_show() -> None:
    """A case about one process that expects something of another one notices a change there."""
    stranger = """
cases:
  - name: somebody else has them
    target: 1
    input: {"process_threads{pid=1}": 2*60, "process_threads{pid=2}": 20*60}
    expect: [{at: 30s, roots: [], elsewhere: [memory.many-threads]}]
"""
    cases, problems = load_cases({"t.yaml": stranger}, RULES, CATALOG)
    assert problems == []
    (found,) = mutate.scores(RULES, cases)
    assert not [s for s in found.survivors if s.startswith("memory many expr")]

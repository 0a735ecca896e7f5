"""The tables of Xids and kinds of events."""

from pathlib import Path

import pytest

from agent.engine.kernel.tables import FILES, Tables, load_tables
from agent.errors import Problems

RULES = Path(__file__).parents[3] / "rules"
SHIPPED = {str(RULES / name): (RULES / name).read_text() for name in FILES}


def shipped(**overlay: str) -> Tables:
    """The shipped tables, with files of a site laid over them."""
    return load_tables(SHIPPED, {f"rules.d/{name}.yaml": text for name, text in overlay.items()})


def test_a_number_that_nobody_lists_is_unknown_and_not_dropped() -> None:
    """Its class says so and it still has a level and an advice."""
    entry = shipped().xid(99999)
    assert (entry.class_, entry.level, entry.action) == ("unknown", "warn", "support")


def test_a_site_changes_single_keys_of_single_numbers() -> None:
    """Sources disagree on some levels, so an operator's word goes before ours; the rest stays."""
    tables = shipped(xid="xids:\n  63: {level: critical, action: reset_gpu, source: site}\n")
    assert (tables.xid(63).level, tables.xid(63).action, tables.xid(63).class_) == ("critical", "reset_gpu", "remap")
    assert tables.xid(64) == shipped().xid(64)


def test_a_site_adds_numbers_and_kinds() -> None:
    """A number of a newer driver is one line of YAML."""
    tables = shipped(
        xid="xids:\n  200: {title: new, level: info, class: info, action: none}\n",
        kernel_log="kinds:\n  segfault: {level: warn}\n",
    )
    assert tables.xid(200).title == "new"
    assert tables.level("segfault", {}) == "warn"


def test_levels_follow_the_word_in_the_message() -> None:
    """Fatal and Nonfatal of NVLink 5, fatal switches, uncorrected memory and hardware errors."""
    tables = shipped()
    assert tables.level("xid", {"xid": 149, "severity_word": "Fatal"}) == "critical"
    assert tables.level("xid", {"xid": 149, "severity_word": "Nonfatal"}) == "warn"
    assert tables.level("sxid", {"sxid": 12028, "fatal": True}) == "critical"
    assert tables.level("sxid", {"sxid": 12028, "fatal": None}) == "info"
    assert tables.level("edac", {"severity": "ue"}) == "critical"
    assert tables.level("edac", {"severity": "ce"}) == "info"


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("xids:\n  63: {level: fatal}\n", "rules.d/xid.yaml:2:15", "fatal"),
        ("xids:\n  63: {class: remapp}\n", "rules.d/xid.yaml:2:15", "did you mean 'remap'"),
        ("xids:\n  63: {levle: warn}\n", "rules.d/xid.yaml:2:8", "did you mean 'level'"),
        ("xids:\n  abc: {title: a, level: warn, class: info, action: none}\n", "rules.d/xid.yaml:2:3", "not a number"),
        ("xids:\n  201: {level: warn}\n", "rules.d/xid.yaml:2:8", "'title' is missing"),
        ("xids: [\n", "rules.d/xid.yaml:2:1", "not valid YAML"),
    ],
)
def test_mistakes_name_their_place(text: str, place: str, words: str) -> None:
    """File, line and column, and the mend where it can be guessed."""
    with pytest.raises(Problems) as wrong:
        shipped(xid=text)
    assert place in str(wrong.value)
    assert words in str(wrong.value)


def test_every_class_is_used_and_every_number_has_words() -> None:
    """The fixed set of classes is no longer than what the table uses."""
    tables = shipped()
    used = {entry.class_ for entry in tables.xids.values()} | {tables.default.class_}
    assert used == set(tables.classes)
    assert all(entry.title for entry in tables.xids.values())

"""Tests of agent.yamlcache: what was parsed once comes back the same, and only from a file that is whole and ours."""

import json
import os
from pathlib import Path

import pytest

from agent import data, yamlcache
from agent.errors import Problems
from agent.yamlcache import YamlCache
from agent.yamlnodes import parse

TEXT = "a: [1, 'two', ~, 0x10, on]\nb:\n  c: >\n    long\n    text\n  d: {e: true}\n"


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the cache lies; its folder is not there yet."""
    return str(tmp_path / "state" / "rules.parsed")


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the texts that went through the real parser."""
    names: list[str] = []
    monkeypatch.setattr(yamlcache, "parse", lambda text, file: names.append(file) or parse(text, file))
    return names


def kept(path: str, text: str = TEXT, file: str = "first.yaml") -> None:
    """One start that reads this text."""
    cache = YamlCache(path)
    cache.parse(text, file)
    cache.keep()


def test_shipped_rules_come_back_as_they_were_parsed(path: str, parsed: list[str]) -> None:
    """Every node with its value, text, place and source; none is parsed a second time."""
    texts = {str(p): p.read_text() for p in data.folder("rules").glob("*.yaml")}
    first = YamlCache(path)
    for name, text in texts.items():
        first.parse(text, name)
    first.keep()
    again = YamlCache(path)
    assert len(parsed) == len(texts)
    assert all(again.parse(text, name) == parse(text, name) for name, text in texts.items())
    assert len(parsed) == len(texts)


def test_a_place_in_a_folded_text_is_found_as_in_a_fresh_node(path: str) -> None:
    """Under the name that the text has now, not the one it had."""
    kept(path)
    node = YamlCache(path).parse(TEXT, "second.yaml")
    found = node.get("b").get("c").problem("here", offset=6)  # type: ignore[union-attr]
    assert (found.file, found.line, found.column) == ("second.yaml", 5, 6)


def test_a_changed_text_is_parsed(path: str, parsed: list[str]) -> None:
    """One character is enough; texts that are no longer used stay for the other sets of rules."""
    kept(path)
    kept(path, TEXT + " ", "changed.yaml")
    kept(path, TEXT, "first again.yaml")
    assert parsed == ["first.yaml", "changed.yaml"]


def test_a_mistake_is_told_every_time(path: str) -> None:
    """A text that is refused is never kept."""
    for _ in range(2):
        cache = YamlCache(path)
        with pytest.raises(Problems, match="duplicate key"):
            cache.parse("a: 1\na: 2\n", "x.yaml")
        cache.keep()


def test_another_parser_parses_again(path: str, parsed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What an older agent made of a text is not what this one would."""
    kept(path)
    monkeypatch.setattr(yamlcache, "_parser", lambda: b"another")
    kept(path)
    monkeypatch.setattr(yamlcache, "_parser", lambda: b"")  # its files cannot be read: nothing is kept or believed
    os.unlink(path)
    kept(path)
    assert len(parsed) == 3
    assert not os.path.exists(path)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "others may write", "link", "shape", "no text", "folder"])
def test_a_file_that_is_not_whole_or_not_ours_is_not_believed(path: str, parsed: list[str], damage: str) -> None:
    """The text is parsed as ever, and what the next start finds is good again wherever it may be replaced."""
    kept(path)
    body = Path(path).read_bytes()
    if damage == "flip":
        Path(path).write_bytes(body[:-9] + b"x" + body[-8:])
    elif damage == "cut":
        Path(path).write_bytes(body[:-20])
    elif damage == "empty":
        Path(path).write_bytes(b"")
    elif damage == "others may write":
        os.chmod(path, 0o622)
    elif damage == "link":
        os.rename(path, path + ".real")
        os.symlink(path + ".real", path)
    elif damage == "folder":
        os.unlink(path)
        os.mkdir(path)
    else:
        parser, keys = json.loads(body[64:])
        changed = json.dumps([parser, dict.fromkeys(keys, '["map", 1]' if damage == "shape" else 1)]).encode()
        Path(path).write_bytes(yamlcache.hashlib.sha256(changed).hexdigest().encode() + changed)
    assert YamlCache(path).parse(TEXT, "x.yaml") == parse(TEXT, "x.yaml")
    kept(path, file="y.yaml")
    kept(path, file="z.yaml")
    assert parsed == ["first.yaml", "x.yaml", "y.yaml", *(["z.yaml"] if damage == "folder" else [])]


def test_nothing_half_written_is_left_where_the_folder_cannot_be_written(tmp_path: Path) -> None:
    """A file stands where the folder should be: the rules are read all the same."""
    (tmp_path / "state").write_text("in the way")
    kept(str(tmp_path / "state" / "rules.parsed"))
    assert [p.name for p in tmp_path.iterdir()] == ["state"]


def test_the_file_is_private_and_written_only_when_there_is_news(path: str) -> None:
    """A start that found everything leaves the file alone."""
    kept(path)
    before = os.stat(path)
    kept(path)
    after = os.stat(path)
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert after.st_mode & 0o777 == 0o600
    assert os.listdir(os.path.dirname(path)) == ["rules.parsed"]

from pathlib import Path

from agent.collectors._kept import RETRY_READS, KeptSource, Numbers, number
from agent.model import Series

SERIES = {"a": Series("a")}


def test_the_same_bytes_give_the_kept_samples_without_parsing(tmp_path: Path) -> None:
    """Parsing happens once for each change of the file."""
    seen: list[bytes] = []

    def parse(raw: bytes) -> dict[str, float]:
        seen.append(raw)
        return {"a": float(raw)}

    path = tmp_path / "f"
    path.write_text("1")
    source = KeptSource(str(path), parse, SERIES)
    assert source.read() is source.read()
    path.write_text("2")
    assert [sample.value for sample in source.read()] == [2.0]
    assert seen == [b"1", b"2"]


def test_a_missing_file_is_looked_for_again_after_a_while(tmp_path: Path) -> None:
    """Kernel modules may be loaded later; asking every second would be waste."""
    source = KeptSource(str(tmp_path / "f"), lambda raw: {"a": float(raw)}, SERIES)
    assert source.read_if_there() == []
    (tmp_path / "f").write_text("3")
    turns = [bool(source.read_if_there()) for _ in range(RETRY_READS + 1)]
    assert turns == [False] * RETRY_READS + [True]


def test_a_number_stands_behind_its_whole_key() -> None:
    """A key that is only the end of another word does not count."""
    raw = b"\nxab 1\nab 22 kB\n"
    assert (number(raw, b"\nab "), number(raw, b"\nb ")) == (22, None)


def test_lines_are_found_wherever_they_move() -> None:
    """Lines drift as numbers grow, shrink after a wrap, or vanish; the place of last time only saves work."""
    numbers = Numbers({"a": b"\na ", "b": b"\nb "}, 10)
    assert numbers.pick(b"\nx " + b"9" * 500 + b"\na 1\nb 2\n") == {"a": 10.0, "b": 20.0}
    assert numbers.pick(b"\na 3\nb 4\n") == {"a": 30.0, "b": 40.0}
    assert numbers.pick(b"\nb 5\n") == {"b": 50.0}
    assert numbers.pick(b"\n" + b"y 1\n" * 900 + b"b 6\na 7\n") == {"a": 70.0, "b": 60.0}

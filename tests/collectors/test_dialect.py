from pathlib import Path

import pytest

from agent.collectors._dialect import V1, V2, parse_cpu_max, parse_limit, quota_v1


@pytest.mark.parametrize(("raw", "limit"), [(b"max\n", None), (b"4096\n", 4096), (b"-1\n", None), (b"9223372036854771712\n", None)])
def test_the_ways_to_write_no_limit(raw: bytes, limit: int | None) -> None:
    """``max`` in version 2, -1 or a number beyond all memory in version 1."""
    assert parse_limit(raw) == limit


@pytest.mark.parametrize(("raw", "cores"), [(b"max 100000\n", None), (b"50000 100000\n", 0.5), (b"400000 100000\n", 4.0)])
def test_quota_over_period_is_cores(raw: bytes, cores: float | None) -> None:
    """Both in microseconds."""
    assert parse_cpu_max(raw) == cores


def test_version_one_writes_no_quota_as_minus_one(tmp_path: Path) -> None:
    """-1 is not a quota of less than nothing."""
    (tmp_path / "cpu.cfs_quota_us").write_text("-1\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")
    assert quota_v1(str(tmp_path)) is None


def test_the_dialects_name_different_files() -> None:
    """Nothing of one version is read in the other by mistake."""
    assert {V1.memory, V1.memory_limit, V1.oom}.isdisjoint({V2.memory, V2.memory_limit, V2.oom})

"""Codes of an authenticator."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pyotp
import pytest

from agent.errors import ConfigError
from agent.permission import Approver
from agent.remedy import codes, tables
from agent.remedy.approvers import Approvers
from agent.remedy.codes import Verdict, counter_of, take
from agent.yamlfile import Text

RFC = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
NOW = 1_700_000_000.0


@pytest.mark.parametrize(("at", "code"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (2000000000, "279037")])
def test_codes_are_those_of_the_rfc(at: int, code: str) -> None:
    """RFC 6238, appendix B, as six digits; a telephone half a minute off is right too, one a minute off is not."""
    assert counter_of(RFC, code, at) == at // 30
    assert counter_of(RFC, code, at + 30) == at // 30
    assert counter_of(RFC, code, at + 60) is None
    assert counter_of(RFC, "x" * 6, at) is None


def test_a_secret_that_is_none_is_said() -> None:
    """Too short, or not base32."""
    for secret in ("", "ABC", "1" * 20):
        with pytest.raises(ConfigError):
            counter_of(secret, "000000", NOW)


def test_a_name_without_a_readable_secret_is_wrong_like_any_other(tmp_path: Path) -> None:
    """And the code that would fit the stand-in for it is no way in."""
    from agent.remedy import approvers as room

    known = Approvers((Approver(name=Text("grace"), totp_file=str(tmp_path / "none")), Approver(user=Text("ada"))))
    for name in ("grace", "ada", "nobody", ""):
        voice, code = known.by_code(name, pyotp.TOTP(room._DUMMY).at(int(NOW)), NOW)
        assert (voice.name, code.counter) == (codes.NOBODY, None)


def test_no_code_works_twice_nor_one_before_it() -> None:
    """And five wrong ones stop the sixth, right or not, for a quarter of an hour."""
    to = sqlite3.connect(":memory:")
    for statements in tables.ROOM.steps:
        for statement in statements:
            to.execute(statement)
    assert take(to, "grace", 10, NOW) is Verdict.RIGHT
    assert [take(to, "grace", n, NOW) for n in (10, 9, None, None, None)] == [Verdict.WRONG] * 5
    assert take(to, "grace", 11, NOW + 800) is Verdict.LOCKED
    assert take(to, "ada", 11, NOW) is Verdict.RIGHT
    assert take(to, "grace", 11, NOW + 901) is Verdict.RIGHT
    to.close()

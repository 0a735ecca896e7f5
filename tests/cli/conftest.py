"""Commands called in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from agent.cli import main


@dataclass(frozen=True)
class Done:
    """How a call ended."""

    code: int
    out: str
    err: str


Call = Callable[..., Done]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Call:
    """Calls a command; its defaults lie below a folder of the test."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, f"{tmp_path}/{name.lower()}")

    def run(*args: str) -> Done:
        with pytest.raises(SystemExit) as done:
            main(list(args))
        said = capsys.readouterr()
        return Done(int(done.value.code or 0), said.out, said.err)

    return run

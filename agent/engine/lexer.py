"""Text of a condition to tokens; every bad character and unknown unit is reported, not only the first."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Literal

from agent.dataclass import dataclass
from agent.engine.units import BYTES, BYTES_IN, LOOSE, RATIO, SECONDS, SECONDS_IN, Unit

MAX_TOKENS = 400
"""A condition is one line a person reads; more is a mistake or an attack (reference cap)."""

MAX_CHARACTERS = 8000

TokenKind = Literal["number", "string", "name", "op", "end"]

NUMBER = re.compile(r"(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?P<unit>%|[A-Za-z_]\w*)?", re.ASCII)
_TOKEN = re.compile(
    rf"""(?P<space>\s+)
      | {NUMBER.pattern}
      | (?P<name>[A-Za-z_]\w*)
      | (?P<string>'[^']*'|"[^"]*")
      | (?P<op><=|>=|==|!=|[<>(){{}}+\-*/,])""",
    re.VERBOSE | re.ASCII,
)
_INSTEAD = {"&&": "and", "||": "or", "!": "not", "=": "=="}
_WORDS = {"min": "m", "mins": "m", "minutes": "m", "sec": "s", "seconds": "s", "hours": "h", "days": "d"}


@dataclass(frozen=True)
class ExprProblem:
    """One mistake: ``offset`` and ``length`` point into the expression's text; ``help`` is the mend."""

    offset: int
    length: int
    message: str
    help: str = ""


class ExprError(Exception):
    """All mistakes of one expression."""

    def __init__(self, problems: Iterable[ExprProblem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.offset, p.length)))
        super().__init__("; ".join(p.message for p in self.problems))


@dataclass(frozen=True)
class Token:
    """One word; ``value`` and ``unit`` belong to numbers (base units). A number of unknown unit is NaN."""

    kind: TokenKind
    text: str
    offset: int
    value: float = 0.0
    unit: Unit = LOOSE

    @property
    def end(self) -> int:
        """Offset just behind the token."""
        return self.offset + len(self.text)


def close(word: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` or nothing."""
    import difflib  # needed only when something is wrong

    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean '{found[0]}'?" if found else ""


def tokens(text: str) -> tuple[list[Token], list[ExprProblem]]:
    """Tokens with a closing ``end``, and what could not be read."""
    if len(text) > MAX_CHARACTERS:
        return [Token("end", "", 0)], [ExprProblem(0, len(text), f"the expression is longer than {MAX_CHARACTERS} characters")]
    found: list[Token] = []
    problems: list[ExprProblem] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None and text[at] == "=" and _selects(found):
            found.append(Token("op", "=", at))
            at += 1
            continue
        if match is None:
            at = _refuse(text, at, found, problems)
            continue
        if match.lastgroup != "space":
            found.append(_token(match, problems))
        at = match.end()
    if len(found) > MAX_TOKENS:
        problems.append(ExprProblem(found[MAX_TOKENS].offset, 1, f"the expression has more than {MAX_TOKENS} words"))
    found.append(Token("end", "", len(text)))
    return found, problems


def _selects(found: list[Token]) -> bool:
    """Does what follows stand between braces, behind a label? ``series{label='value'}``."""
    braces = [word.text for word in found if word.text in ("{", "}")]
    return bool(braces) and braces[-1] == "{" and found[-1].kind == "name"


def _token(match: re.Match[str], problems: list[ExprProblem]) -> Token:
    text, at = match.group(), match.start()
    if match["name"]:
        return Token("op" if text in {"and", "or", "not"} else "name", text, at)
    if match["string"]:
        return Token("string", text, at)
    if match["op"]:
        return Token("op", text, at)
    scale, unit = _unit(match["unit"], match.start("unit"), problems)
    return Token("number", text, at, float(match["number"]) * scale, unit)


def _unit(name: str | None, at: int, problems: list[ExprProblem]) -> tuple[float, Unit]:
    if not name:
        return 1.0, LOOSE
    if name == "%":
        return 0.01, RATIO
    if name in SECONDS_IN:
        return SECONDS_IN[name], SECONDS
    if name in BYTES_IN:
        return BYTES_IN[name], BYTES
    problems.append(ExprProblem(at, len(name), f"unknown unit '{name}'", _meant(name)))
    return math.nan, LOOSE


def _meant(name: str) -> str:
    known = [*SECONDS_IN, *BYTES_IN]
    same = [u for u in known if u.lower() == name.lower()] or [_WORDS[w] for w in (name.lower(),) if w in _WORDS]
    return f"did you mean '{same[0]}'?" if same else close(name, known) or f"units are % {' '.join(known)}"


def _refuse(text: str, at: int, found: list[Token], problems: list[ExprProblem]) -> int:
    """Report what stands at ``at``, read it as what was meant where that is clear, and step over it."""
    for wrong, right in _INSTEAD.items():
        if text.startswith(wrong, at):
            problems.append(ExprProblem(at, len(wrong), f"unexpected '{wrong}'", f"write '{right}'"))
            found.append(Token("op", right, at))
            return at + len(wrong)
    if text[at] in "'\"":
        problems.append(ExprProblem(at, len(text) - at, "the text is not closed", f"add {text[at]}"))
        return len(text)
    problems.append(ExprProblem(at, 1, f"unexpected character {text[at]!r}"))
    return at + 1

"""Plain words for generated names: none tells what is wrong, none is a module, a keyword or a built-in."""

from __future__ import annotations

from random import Random

_VERBS = (
    "accept apply arrange assemble assign attach blend book bundle carry chart clip collate convert deliver draft enrich "
    "expand file fold forward gather grade handle index label list make mark measure merge move name note offer order pack "
    "place plan prepare price put quote rank record register render resolve round ship show sign stage stamp"
)
_NOUNS = (
    "account album atlas badge basket beacon board branch brick bridge cabin canvas cargo chapter cluster column cottage "
    "cover crate deck district draft drawer engine feather garden gauge harbor invoice island journal kettle ladder "
    "lantern ledger letter lumber magnet market meadow mirror mosaic needle number orchard packet paddle panel parcel "
    "pattern pebble pillar planet portrait quarry quilt ribbon river saddle sample season shelf signal sketch spindle "
    "station stitch stream summit table tablet tartan ticket timber tower track trellis tunnel valley vessel village "
    "voucher wagon walnut window"
)


class Words:
    """Makes names that were not used before, in the style of the name they replace."""

    def __init__(self, rng: Random, taken: set[str]) -> None:
        self._rng = rng
        self._taken = set(taken)
        self._verbs, self._nouns = _VERBS.split(), _NOUNS.split()

    def like(self, old: str, *, callable_: bool = False) -> str:
        """A new name for ``old``: CONSTANT, ClassName, _private and plain styles are kept; callables begin with a verb."""
        while True:
            first = self._rng.choice(self._verbs if callable_ else self._nouns)
            second = self._rng.choice(self._nouns)
            name = _styled(old, first, second)
            if first != second and name not in self._taken:
                self._taken.add(name)
                return name


def _styled(old: str, first: str, second: str) -> str:
    bare = old.lstrip("_")
    lead = old[: len(old) - len(bare)]
    if bare[:1].isupper() and not bare.isupper():
        return lead + first.capitalize() + second.capitalize()
    name = f"{first}_{second}"
    return lead + (name.upper() if bare.isupper() and len(bare) > 1 else name)

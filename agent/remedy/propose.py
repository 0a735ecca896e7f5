"""What may help is proposed: for each root cause the playbooks that name it, the lowest rungs first, each once."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from agent.host.clock import Clock
from agent.model import JsonObject, Labels, Target
from agent.remedy import guard, tables
from agent.remedy.carry import Sight
from agent.remedy.ledger import Ledger
from agent.remedy.model import ITSELF, OVER, Phase, Run
from agent.remedy.playbook import Mode, Playbook, allowed_mode

AGAIN_S = 600.0
"""The same playbook is not proposed twice for an incident within this time."""
STORM_REST_S = 1800.0
Key = tuple[str, Labels]


class Proposer:
    """Makes proposals, and keeps them."""

    def __init__(self, state: Ledger, playbooks: Mapping[str, Playbook], ceiling: Mode, sight: Sight, clock: Clock) -> None:
        self._state = state
        self._playbooks = playbooks
        self._ceiling = ceiling
        self._sight = sight
        self._clock = clock
        self._storm_until = 0.0

    async def diagnosed(self, diagnosis: JsonObject, incident: int, key: Key) -> list[Run]:
        """Propose what may help against the roots of a diagnosis; the new runs."""
        made = []
        for cause in diagnosis["causes"]:
            able = [(one, target) for one in self._playbooks.values() for target in await self._wanted(one, cause)]
            later = {name for one, target in able if guard.suits(one, target) for name in self._rungs_above(one)}
            for one, target in able:
                if one.id not in later:
                    run = await self.propose(self.run(one, cause, incident, key, target))
                    made += [run] if run is not None else []
        return made

    async def _wanted(self, one: Playbook, cause: JsonObject) -> list[Target]:
        return await self.targets(one, cause) if cause["id"] in one.needs.causes else []

    def _rungs_above(self, one: Playbook) -> Iterator[str]:
        """They wait until what is below did not help."""
        above = self._playbooks.get(one.next) if one.next else None
        while above is not None:
            yield above.id
            above = self._playbooks.get(above.next) if above.next else None

    async def targets(self, playbook: Playbook, cause: JsonObject) -> list[Target]:
        """Whom a playbook would act on for a cause, each by itself; nobody if none is to blame, or sure to be the same by now."""
        return await self._sight.culprits(cause) if playbook.target.who == "culprit" else [sufferer(cause)]

    async def propose(self, proposal: Run) -> Run | None:
        """Keep a proposal, unless it is there, was just made, a person said no to it, or there are too many."""
        now = proposal.created

        def change(to: Any) -> Run | None:
            mine = (proposal.playbook, proposal.incident, proposal.identity)
            alike = [r for r in tables.runs(to) if (r.playbook, r.incident, r.identity) == mine]
            if any(r.phase not in OVER or r.refused or now - r.created < AGAIN_S for r in alike):
                return None
            if now < self._storm_until:
                return None
            if guard.storm(tables.tally(to, proposal, now)):
                self._storm_until = now + STORM_REST_S
                tables.record(to, now, ITSELF, "storm", {"until": self._storm_until, "incident": proposal.incident})
                return None
            return tables.insert(to, proposal, ITSELF)

        return await self._state.write(change)

    def run(self, playbook: Playbook, cause: JsonObject, incident: int, key: Key, target: Target, rung: int = 0) -> Run:
        """The proposal itself, not kept yet."""
        now = self._clock.now()
        return Run(
            id=0, playbook=playbook.id, digest=playbook.digest, group=playbook.group, incident=incident, cause=cause["id"], key=key,
            target=target, mode=allowed_mode(playbook, self._ceiling), phase=Phase.PROPOSED, created=now, updated=now,
            expires=now + playbook.approval.expires, rung=rung,
            proposer=ITSELF, nonce=secrets.token_urlsafe(12), quiet=playbook.class_ == "observe",
            sufferer=sufferer(cause) if playbook.target.who == "culprit" else None,
            evidence=hashlib.sha256(json.dumps(cause, sort_keys=True).encode()).hexdigest()[:16],
        )  # fmt: skip


def sufferer(cause: JsonObject) -> Target:
    """Whose cause it is."""
    return Target(**{k: v for k, v in cause["target"].items() if k in Target.__dataclass_fields__})

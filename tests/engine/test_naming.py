"""Incidents in a few words."""

from __future__ import annotations

from typing import Any

import pytest

from agent.engine.graph import Place
from agent.engine.incident import Complaint, Incident
from agent.engine.naming import title_of
from agent.model import Labels, Severity, labels
from tests.fakes.life import process

GPU = labels(gpu=3, uuid="GPU-1", pci="0000:01:00.0")


@pytest.mark.parametrize(
    ("key", "title"),
    [
        (GPU, "hot: GPU 3"),
        (labels(gpu=3, uuid="GPU-1", pci="0000:01:00.0", link=2), "hot: GPU 3 link=2"),
        (labels(device="sda"), "hot: device=sda"),
        ((), "hot: this host"),
    ],
)
def test_a_symptom_names_its_sufferer(key: Labels, title: str) -> None:
    """As people call it."""
    complaint = Complaint("hot", key, Severity.WARNING, 1.0, 1.0, "too much", Place(key, dict(key)))
    assert title_of(Incident(1, 1.0, 1.0, complaints=(complaint,))) == title


@pytest.mark.parametrize(
    ("culprit", "title"),
    [
        ({"kind": "mount", "name": "/data"}, "It burns: mount /data"),
        ({"kind": "process", "name": "hog", "pid": 7}, "It burns: process hog (pid 7)"),
        ({"kind": "gpu", "name": "GPU 3 (GPU-1, 0000:01:00.0)"}, "It burns: GPU 3 (GPU-1, 0000:01:00.0)"),
        ({"kind": "code", "name": "f", "file": "a.py", "line": 1}, "It burns: this host"),
    ],
)
def test_a_root_cause_of_the_host_names_its_part(culprit: dict[str, Any], title: str) -> None:
    """That it is the host's is in every message anyway."""
    complaint = Complaint("hot", (), Severity.WARNING, 1.0, 1.0)
    root = {"title": "It burns", "target": {"kind": "host", "name": ""}, "culprits": [culprit]}
    assert title_of(Incident(1, 1.0, 1.0, complaints=(complaint,), causes=(root,))) == title


@pytest.mark.parametrize(
    ("target", "title"),
    [
        ({"kind": "process", "pid": 7, "name": "trainer"}, "It burns: trainer (pid 7)"),
        ({"kind": "gpu", "uuid": "GPU-1", "name": "GPU 3"}, "It burns: GPU 3"),
        ({"kind": "unit", "unit": "a.service", "name": "a.service"}, "It burns: unit=a.service"),
        ({"kind": "host", "name": "sda"}, "It burns: sda"),
        ({"kind": "host", "name": ""}, "It burns: this host"),
    ],
)
def test_a_root_cause_names_its_target(target: dict[str, Any], title: str) -> None:
    """Rather than the symptom that led to it."""
    complaint = Complaint("hot", labels(pid=7), Severity.WARNING, 1.0, 1.0, "", process(7))
    root = {"title": "It burns", "target": target, "culprits": []}
    assert title_of(Incident(1, 1.0, 1.0, complaints=(complaint,), causes=(root,))) == title

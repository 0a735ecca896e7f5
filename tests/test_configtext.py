"""The configuration as people see it."""

from __future__ import annotations

import json

from agent import config, configtext


def test_an_empty_file_means_the_defaults() -> None:
    """A file of comments only is a valid configuration."""
    assert config.parse_config(configtext.TEMPLATE, "c.yaml").listen == "127.0.0.1:9477"


def test_the_template_becomes_valid_when_its_comments_are_opened() -> None:
    """Every key of the commented template is a real key with a readable value."""
    lines = [line.removeprefix("# ") for line in configtext.TEMPLATE.splitlines()[1:]]
    made = config.parse_config("\n".join(lines), "c.yaml")
    assert made.artifacts.keep == 7 * 86400
    assert set(made.collectors) == {"filesystem"}


def test_receivers_are_counted_never_shown() -> None:
    """A receiver's address may hold a secret; config show prints how many there are."""
    made = config.parse_config("receivers: ['slack://token@x']\n", "c.yaml")
    assert "token" not in str(configtext.show(made))


def test_routes_are_shown_as_they_stand() -> None:
    """All of it is plain JSON; receivers are only counted."""
    text = (
        "receivers: [{name: a, url: 'json://s3cret'}]\nalerts: {routes: [{receivers: [a], escalate: {after: 5m, receivers: [a]}}]}"
    )
    shown = json.dumps(configtext.show(config.parse_config(text, "c.yaml")))
    assert '"receivers": ["a"]' in shown
    assert '"after": 300.0' in shown
    assert "s3cret" not in shown

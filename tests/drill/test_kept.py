"""What a drill leaves on purpose."""

from __future__ import annotations

from pathlib import Path

from agent.drill.kept import furnish, room


def test_every_drill_gets_a_folder_of_its_own_that_only_its_owner_may_enter(tmp_path: Path) -> None:
    """Held again, or as another variant, it does not write over the one before."""
    made = [room(tmp_path / "kept", "notes", number) for number in (0, 0, 3)]
    assert [one.name for one in made] == ["notes", "notes-2", "notes-v3"]
    assert {one.stat().st_mode & 0o777 for one in (*made, tmp_path / "kept")} == {0o700}


def test_the_configuration_lies_beside_the_state(tmp_path: Path) -> None:
    """So that a command can be pointed at what was kept."""
    config = tmp_path / "config.yaml"
    config.write_text("state_dir: /somewhere")
    made = room(tmp_path / "kept", "notes", 0)
    furnish(made, str(config))
    assert (made / "config.yaml").read_text() == "state_dir: /somewhere"

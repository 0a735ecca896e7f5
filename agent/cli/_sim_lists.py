"""What ``anfl-agent sim gpu`` can set and break, as lists."""

from __future__ import annotations

import click

from agent.cli._output import print_json

_JSON = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")


@click.command()
@_JSON
def faults(as_json: bool) -> int:
    """List the fault verbs."""
    from agent.sim.verbs import VERBS

    if as_json:
        rows = {verb: {"main": main, "takes": sorted(known), "does": says} for verb, (main, known, _, says) in VERBS.items()}
        print_json({"schema": "anfl.sim-gpu-faults/1", "faults": rows})
        return 0
    for verb, (_, known, _, says) in VERBS.items():
        click.echo(f"{verb:<15} {says}" + (f"  [{', '.join(sorted(known))}]" if known else ""))
    return 0


@click.command()
@_JSON
def keys(as_json: bool) -> int:
    """List every figure of a GPU."""
    from agent.sim.schema import every_path, key_of

    rows = [(path, key) for path in every_path() if (key := key_of(path.replace(".N.", ".0."))) is not None]
    if as_json:
        print_json({"schema": "anfl.sim-gpu-keys/1", "keys": {path: {"unit": key.unit, "says": key.says} for path, key in rows}})
        return 0
    for path, key in rows:
        click.echo(f"{path:<36} {key.unit:<8} {key.says}" + (f" ({', '.join(key.words)})" if key.words else ""))
    return 0

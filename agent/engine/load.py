"""Tree files → a checked :class:`RuleSet`, with every mistake of every file at once. Pure: takes texts, reads no file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agent import yamlfile
from agent.engine.build import Notes, TreeBuilder
from agent.engine.treefile import TreeFile, overlaid
from agent.engine.trees import Catalog, RuleSet, Tree
from agent.errors import Problem, Problems
from agent.yamlfile import Node, Text, fill

Parse = Callable[[str, str], Node]


def load_rules(
    files: Mapping[str, str],
    catalog: Catalog,
    *,
    overlay: Mapping[str, str] | None = None,
    memory: float | None = None,
    parse: Parse = yamlfile.parse,
) -> tuple[RuleSet, list[Problem]]:
    """Load tree files (name → text), with a site's ``overlay`` files laid over them by tree name.

    ``memory`` is how many seconds of history stand behind the rules; a longer window becomes a warning. Trees with a mistake
    are left out of the RuleSet, so a caller that finds problems keeps its old rules. ``parse`` makes nodes of a text and its name.
    """
    problems: list[Problem] = []
    nodes = _nodes(files, parse, problems)
    for name, node in _nodes(overlay or {}, parse, problems).items():
        base = next((n for n, b in nodes.items() if _tree_name(b) and _tree_name(b) == _tree_name(node)), None)
        nodes[base or name] = overlaid(nodes[base], node) if base else node
    written = [f for f in (fill(TreeFile, node, problems) for node in nodes.values()) if f is not None]
    notes = Notes(problems, [])
    trees = _trees(written, catalog, memory, notes)
    _links(written, notes)
    causes = {c.id: c for t in trees.values() for c in t.causes}
    return RuleSet(trees, causes, tuple(sorted(set(notes.warnings)))), sorted(set(problems))


def _nodes(files: Mapping[str, str], parse: Parse, problems: list[Problem]) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for name, text in files.items():
        try:
            nodes[name] = parse(text, name)
        except Problems as error:
            problems.extend(error.problems)
    return nodes


def _tree_name(node: Node) -> str | None:
    found = node.get("tree") if node.kind == "map" else None
    return found.raw if found else None


def _trees(written: list[TreeFile], catalog: Catalog, memory: float | None, notes: Notes) -> dict[str, Tree]:
    trees: dict[str, Tree] = {}
    seen: set[str] = set()
    for file in written:
        if file.tree in seen:
            notes.problem(file.tree, f"tree '{file.tree}' is in two files")
            continue
        seen.add(file.tree)
        tree = TreeBuilder(file, catalog, memory, notes).build()
        if tree is not None:
            trees[tree.name] = tree
    return trees


def _links(written: list[TreeFile], notes: Notes) -> None:
    """Every ``leads_to`` names a cause of some tree, and none leads back to itself."""
    links: dict[str, tuple[Text, ...]] = {}
    for file in written:
        for key, cause in file.causes.items():
            if key in links:
                notes.problem(key, f"cause '{key}' is declared twice", "let the other tree lead to it")
            links[str(key)] = cause.leads_to
    known = {*links, *(name.partition(".")[0] for name in links)}
    for file in written:
        notes.known(file.symptom.suspicion, known, "cause or topic")
    reported: set[frozenset[str]] = set()
    for start, names in links.items():
        notes.known(names, links, "cause")
        for name in names:
            ring = _way(str(name), start, links)
            if ring and frozenset(ring) not in reported:
                reported.add(frozenset(ring))
                notes.problem(name, f"'leads_to' goes in a circle: {' → '.join([start, *ring])}")


def _way(start: str, goal: str, links: Mapping[str, tuple[Text, ...]]) -> list[str]:
    """The way along ``leads_to`` from one cause to another, both named, or nothing."""
    todo, seen = [[start]], {start}
    while todo:
        way = todo.pop()
        if way[-1] == goal:
            return way
        for name in map(str, links.get(way[-1], ())):
            if name not in seen:
                seen.add(name)
                todo.append([*way, name])
    return []

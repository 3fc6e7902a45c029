"""Simulators of data sets in their true formats, with known dependencies. A package here with a function `simulate` is a kind."""

import ast
from pathlib import Path
from pkgutil import iter_modules


def kinds() -> dict[str, str]:
    """Return what can be simulated: by name, the first line of its module. Nothing is imported."""
    home = Path(__file__).parent
    places = {
        module.name: home / module.name / "__init__.py" if module.ispkg else home / f"{module.name}.py"
        for module in iter_modules(__path__)
    }
    trees = {name: ast.parse(place.read_text(encoding="utf-8")) for name, place in places.items()}
    return {name: (ast.get_docstring(tree) or "").partition("\n")[0] for name, tree in trees.items() if defines(tree)}


def defines(tree: ast.Module) -> bool:
    """Return whether a module has a function `simulate`, its own or imported."""
    own = {step.name for step in tree.body if isinstance(step, ast.FunctionDef)}
    steps = [step for step in tree.body if isinstance(step, ast.ImportFrom)]
    return "simulate" in own | {alias.asname or alias.name for step in steps for alias in step.names}

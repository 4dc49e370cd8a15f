"""The reference is made of docstrings: each public name has one, and each module shows something that runs."""

from __future__ import annotations

import ast
import importlib
from doctest import DocTestFinder
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "chroma"
FOR_THE_BOOK = {"record", "settings", "palette"}  # what its pages share, not a library
MODULES = sorted({file.stem for file in PACKAGE.glob("[!_]*.py")} - FOR_THE_BOOK)


def undocumented(tree: ast.AST, name: str) -> list[str]:
    """The public functions, classes and methods below `tree` without a docstring, by their full names."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    public = [node for node in getattr(tree, "body", []) if isinstance(node, kinds) and not node.name.startswith("_")]
    missing = [f"{name}.{node.name}" for node in public if not ast.get_docstring(node)]
    classes = [node for node in public if isinstance(node, ast.ClassDef)]
    return missing + [one for node in classes for one in undocumented(node, f"{name}.{node.name}")]


@pytest.mark.parametrize("name", MODULES)
def test_every_public_module_has_an_example_that_is_executed(name):
    module = importlib.import_module(f"chroma.{name}")
    assert any(found.examples for found in DocTestFinder().find(module))


def test_every_public_function_and_class_has_a_docstring():
    files = [*PACKAGE.rglob("[!_]*.py"), *PACKAGE.rglob("__init__.py")]
    names = {file: ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for file in files}
    assert [one for file in files for one in undocumented(ast.parse(file.read_text("utf-8")), names[file])] == []

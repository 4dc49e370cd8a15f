"""The reference is complete: it has every public name once, and each docstring describes every argument."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from doctest import DocTestFinder
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import chroma

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "book" / "api").glob("*.md"))

MODULES = {
    name: importlib.import_module(name)
    for name in ["chroma", *(module.name for module in pkgutil.walk_packages(chroma.__path__, "chroma."))]
    if not any(part.startswith("_") for part in name.split("."))
}
# Modules without an example: packages that only export or hold modules, and a command line whose module has them.
WITHOUT_EXAMPLE = {"chroma", "chroma.atlas", "chroma.notebook", "chroma.plotting", "chroma.schedulers"}


def is_documentable(value: Any) -> bool:
    return inspect.isfunction(value) or inspect.isclass(value)


def own_names(module: ModuleType) -> dict[str, Any]:
    """The public functions and classes that a module defines, by their full names."""
    return {
        f"{module.__name__}.{name}": value
        for name, value in vars(module).items()
        if not name.startswith("_") and is_documentable(value) and value.__module__ == module.__name__
    }


PUBLIC = {name: value for module in MODULES.values() for name, value in own_names(module).items()}


def directives(page: Path) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield the kind, the name and the options of each autodoc directive of a page."""
    text = page.read_text(encoding="utf-8")
    for kind, name, block in re.findall(r"^\.\. auto(\w+):: (\S+)\n((?: +:.*\n)*)", text, re.M):
        yield kind, name, dict(re.findall(r"^ +:([\w-]+):[ ]?(.*)$", block, re.M))


def shown_by(kind: str, name: str, options: dict[str, str]) -> list[Any]:
    """The objects that autodoc shows for a directive: of a module, those in __all__ or else its own."""
    if kind != "module":
        module, attribute = name.rsplit(".", 1)
        return [getattr(importlib.import_module(module), attribute)]
    if "no-members" in options:
        return []
    module = importlib.import_module(name)
    names = getattr(module, "__all__", [full.rsplit(".", 1)[1] for full in own_names(module)])
    excluded = re.split(r",\s*", options.get("exclude-members", ""))
    values = [getattr(module, attribute) for attribute in names if attribute not in excluded]
    return [value for value in values if is_documentable(value)]


def methods(name: str, cls: type) -> dict[str, Any]:
    """The public methods and properties that a class defines, by their full names."""
    kinds = (staticmethod, classmethod)
    values = {
        attribute: value.__func__ if isinstance(value, kinds) else value for attribute, value in vars(cls).items()
    }
    return {
        f"{name}.{attribute}": value
        for attribute, value in values.items()
        if not attribute.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, (property, cached_property)))
    }


METHODS = {
    name: (cls, method)
    for class_name, cls in PUBLIC.items()
    if inspect.isclass(cls)
    for name, method in methods(class_name, cls).items()
}


def docstring(name: str) -> str:
    """The docstring of a public name; a method that overrides another one may inherit its docstring."""
    if name in METHODS:
        return inspect.getdoc(getattr(METHODS[name][0], name.rsplit(".", 1)[1])) or ""
    return inspect.getdoc(PUBLIC[name]) if PUBLIC[name].__doc__ else ""


def section(text: str, title: str) -> set[str]:
    """The names that a section of a Google-style docstring describes."""
    block = re.search(rf"^{title}:\n((?:[ ]+\S.*\n|\n(?=[ ]))*)", text + "\n", re.M)
    return set(re.findall(r"^[ ]{4}\*{0,2}(\w+)(?: \([^)]*\))?:", block[1], re.M)) if block else set()


def parameters(function: Any) -> set[str]:
    """The names of the parameters of a function, apart from self and cls and those that start with an underscore."""
    names = {parameter.name for parameter in inspect.signature(function).parameters.values()}
    return {name for name in names - {"self", "cls"} if not name.startswith("_")}


def missing_arguments(name: str) -> set[str]:
    """The parameters or fields of a public name that its docstring does not describe."""
    cls, value = METHODS.get(name, (None, PUBLIC.get(name)))
    text = docstring(name)
    if getattr(cls, "_is_protocol", False) or not is_documentable(value):
        return set()  # the interface of another library, or a property
    if inspect.isfunction(value):
        return parameters(value) - section(text, "Args")
    if dataclasses.is_dataclass(value):
        fields = {field.name for field in dataclasses.fields(value) if not field.name.startswith("_")}
        return fields - section(text, "Attributes") - section(text, "Args")
    if issubclass(value, tuple) and hasattr(value, "_fields"):
        return set(value._fields) - section(text, "Attributes")
    constructor = vars(value).get("__init__")
    if not inspect.isfunction(constructor) or getattr(value, "_is_protocol", False):
        return set()
    return parameters(constructor) - section(text, "Args")


@pytest.mark.parametrize("name", sorted(MODULES.keys() - WITHOUT_EXAMPLE))
def test_every_public_module_has_an_example_that_is_executed(name):
    assert any(test.examples for test in DocTestFinder().find(MODULES[name]))


def test_every_public_module_is_in_the_reference():
    shown = {name for page in PAGES for kind, name, _ in directives(page) if kind == "module"}
    partly_shown = {name.rsplit(".", 1)[0] for page in PAGES for kind, name, _ in directives(page) if kind != "module"}
    exported = {value.__module__ for page in PAGES for directive in directives(page) for value in shown_by(*directive)}
    assert MODULES.keys() - shown - partly_shown - exported == set()


def test_every_public_function_and_class_is_in_the_reference_exactly_once():
    shown = Counter(id(value) for page in PAGES for directive in directives(page) for value in shown_by(*directive))
    assert {name: shown[id(value)] for name, value in PUBLIC.items() if shown[id(value)] != 1} == {}


def test_the_reference_names_everything_that_can_be_imported_from_the_package_itself():
    introduction = (ROOT / "book/api/mathematics.md").read_text(encoding="utf-8").split("```{eval-rst}")[0]
    assert {name for name in chroma.__all__ if f"`{name}`" not in introduction} == set()


def test_every_public_function_class_method_and_property_has_a_docstring():
    assert [name for name in [*PUBLIC, *METHODS] if not docstring(name)] == []


def test_every_docstring_describes_each_argument():
    missing = {name: missing_arguments(name) for name in [*PUBLIC, *METHODS]}
    assert {name: arguments for name, arguments in missing.items() if arguments} == {}


def test_a_description_of_what_is_returned_has_no_colon_in_its_first_line():
    # Sphinx takes the words before a colon for a type; colons inside roles, as in :math:`x`, are no problem
    first_lines = {
        name: re.search(r"^(?:Returns|Yields):\n +(.*)$", docstring(name), re.M) for name in [*PUBLIC, *METHODS]
    }
    found = {name: match[1] for name, match in first_lines.items() if match}
    code = r":\w+:`[^`]*`|``.*?``|`[^`]*`"
    assert {name: line for name, line in found.items() if re.search("(?<!:):(?!:)", re.sub(code, "", line))} == {}

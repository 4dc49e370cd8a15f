"""Link JavaScript modules into one text, which is what anywidget takes; the book is built without Node."""

from __future__ import annotations

import re
from collections.abc import Mapping

# The forms that the explorer's modules use, each at the start of a line, as the formatter leaves them
_IMPORT = re.compile(r'^import \{([^}]+)\} from "\./([\w.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const) (\w+))", re.MULTILINE)
_DECLARATION = re.compile(r"^(?:async )?(?:function\*?|class|const|let) (\w+)", re.MULTILINE)
_UNKNOWN_FORM = re.compile(r"^(?:import|export|var|(?:const|let) \W).*", re.MULTILINE)


def link_modules(sources: Mapping[str, str], entry: str) -> str:
    r"""Join a module and all that it imports, dependencies first, without their imports and exports.

    All modules share one scope afterwards: their names may not clash, and imports may not rename. Only the default
    export of `entry` is left.

    Args:
        sources: the text of each module, under its file name.
        entry: the file name of the module to start from.

    Returns:
        The text of one module that imports nothing.

    Raises:
        ValueError: if a module or an imported name is missing, if modules import each other in a circle, if two of
            them declare the same name at their top level, or if a statement has a form that is not known here.

    >>> a = 'import { one } from "./b.js";\nexport default one + 1;\n'
    >>> b = "export const one = 1;\n"
    >>> print(link_modules({"a.js": a, "b.js": b}, "a.js"), end="")
    const one = 1;
    export default one + 1;
    """
    linked: dict[str, str] = {}
    declared_in: dict[str, str] = {}

    def add(module: str, importers: tuple[str, ...]) -> None:
        if module in importers:
            raise ValueError(f"{importers[-1]} imports {module} in a circle: move what both need to a third module")
        for names, dependency in _IMPORT.findall(sources[module]):
            if dependency not in sources:
                raise ValueError(f"{module} imports {dependency}, which does not exist")
            imported = {name.strip() for name in names.split(",") if name.strip()}
            missing = imported.difference(_EXPORT.findall(sources[dependency]))
            if missing:
                raise ValueError(f"{module} imports {', '.join(sorted(missing))}, which {dependency} does not export")
            if dependency not in linked:
                add(dependency, (*importers, module))
        text = _EXPORT.sub("", _IMPORT.sub("", sources[module]))
        for line in _UNKNOWN_FORM.findall(text):
            if module != entry or not line.startswith("export default "):
                raise ValueError(f"{module} cannot be linked: rewrite {line!r} in a form that _linking.py knows")
        for name in _DECLARATION.findall(text):
            if name in declared_in:
                raise ValueError(f"{declared_in[name]} and {module} both declare {name}: rename one of them")
            declared_in[name] = module
        linked[module] = text

    add(entry, ())
    return "".join(linked.values())

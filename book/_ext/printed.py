"""The book as a PDF (``make pdf``): what LaTeX has to be told that pages need not know."""

from __future__ import annotations

from urllib.parse import unquote

from docutils import nodes

PAGE = 90  # characters of a line


def keep_tags(app, doctree, docname) -> None:
    r"""Let LaTeX set each \tag: Sphinx puts equations into ``split``, where none may stand."""
    for block in doctree.findall(nodes.math_block):
        if r"\tag{" in block.astext() and not block.get("nowrap"):
            block.children = [nodes.Text(f"\\begin{{equation*}}\n{block.astext().strip()}\n\\end{{equation*}}")]
            block["nowrap"] = True


def fit_tables(app, doctree, docname) -> None:
    """Give the columns of what is wider than a page their widths; LaTeX breaks only lines in columns that have one."""
    for table in doctree.findall(nodes.table):
        if "colwidths-auto" not in table["classes"]:  # has them
            table["classes"].append("colwidths-given")
            continue
        rows = [[len(entry.astext()) for entry in row.findall(nodes.entry)] for row in table.findall(nodes.row)]
        longest = [max(column) for column in zip(*rows, strict=True)]
        if sum(longest) > PAGE:
            table["classes"] = ["colwidths-given"]
            for column, width in zip(table.findall(nodes.colspec), longest, strict=True):
                column["colwidth"] = min(max(width, 8), PAGE // 2)


def spell_addresses(app, doctree, docname) -> None:
    """Show an address as it is, %20 and all: LaTeX breaks one over lines only where that is what is shown."""
    for link in doctree.findall(nodes.reference):
        if "refuri" in link and link.astext() == unquote(link["refuri"]):
            link.children = [nodes.Text(link["refuri"])]


def leave_out_the_explorer(app, doctree, docname) -> None:
    """Leave its still picture, which the page has for paper."""
    for cell in list(doctree.findall(nodes.container)):
        if "tag_explorer" in cell["classes"]:
            cell.parent.remove(cell)


def prepare(app) -> None:
    """All this is for LaTeX alone."""
    if app.builder.format == "latex":
        for part in (keep_tags, fit_tables, spell_addresses, leave_out_the_explorer):
            app.connect("doctree-resolved", part, priority=400)  # before pages get what is theirs alone


def setup(app):
    """Register with Sphinx."""
    app.connect("builder-inited", prepare)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}

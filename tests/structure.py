"""The package as its own text shows it: modules, imports, circles of imports, lines of code.

``python tests/structure.py`` prints the figures and fails where modules import each other in a
circle.
"""

from __future__ import annotations

import ast
import functools
import io
import sys
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path

SRC = Path(__file__).parents[1] / "src" / "podium"
# They hold no ideas of their own.
DOORS = {"podium", "podium.__main__"}
# A file with more code than this is listed.
LONG = 450
_NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENCODING, tokenize.ENDMARKER,
}  # fmt: skip


def module_name(path: Path) -> str:
    parts = path.relative_to(SRC.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(SRC.rglob("*.py"))}


# Several tests look at the same files.
parsed = functools.cache(ast.parse)


def imports(tree: ast.AST, module: str, *, is_package: bool = False) -> Iterator[tuple[str, int]]:
    """(imported module, line) of every import, wherever it stands; a package's names are modules.

    ``import_module("...")`` counts too.
    """
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package[: len(package) - node.level + 1]
                base = ".".join([*parents, *filter(None, [base])])
            for alias in node.names:
                inner = SRC.parent.joinpath(*base.split("."), alias.name)
                is_module = inner.with_suffix(".py").is_file() or inner.is_dir()
                yield (f"{base}.{alias.name}" if is_module else base), node.lineno
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute | ast.Name)
            and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module"
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield str(node.args[0].value), node.lineno


def graph() -> dict[str, set[str]]:
    """Which module of the package imports which, TYPE_CHECKING and functions included.

    The package itself is left out: it offers the public names of them all.
    """
    arrows: dict[str, set[str]] = {}
    for module, path in FILES.items():
        if module in DOORS:
            continue
        tree = parsed(path.read_text(encoding="utf-8"))
        inside = imports(tree, module, is_package=path.name == "__init__.py")
        arrows[module] = {target for target, _ in inside if target in FILES} - {module, *DOORS}
    return arrows


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other (strongly connected parts, Tarjan 1972)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        number[node] = low[node] = len(number)
        stack.append(node)
        for target in sorted(arrows[node]):
            if target not in number:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], number[target])
        if low[node] == number[node]:
            at = stack.index(node)
            part = stack[at:]
            del stack[at:]
            if len(part) > 1:
                found.append(sorted(part))

    for node in sorted(arrows):
        if node not in number:
            visit(node)
    return found


def code_lines(text: str) -> int:
    """Lines that hold code: no blank line, comment or docstring."""
    lines = set[int]()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            lines.difference_update(range(first.lineno, (first.end_lineno or 0) + 1))
    return len(lines)


def main() -> int:
    sizes = {path: code_lines(path.read_text(encoding="utf-8")) for path in FILES.values()}
    print(f"{sum(sizes.values()):,} code lines in {len(sizes)} files")
    for path, size in sorted(sizes.items(), key=lambda each: -each[1]):
        if size > LONG:
            print(f"  over {LONG}: {path.relative_to(SRC)} {size}")
    loops = circles(graph())
    print(f"{len(loops)} import circles")
    for loop in loops:
        print("  " + ", ".join(loop))
    return 1 if loops else 0


if __name__ == "__main__":
    sys.exit(main())

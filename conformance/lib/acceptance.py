"""Which test proves which acceptance check: read from the docstrings of the tests.

A docstring begins with the numbers of the acceptance checks that it is about (`C7: ...`, `C37, C38: ...`), or with `More:`
where it is about something that a comparison should show and no number covers. The rest of its first line says in words
what is tried.
"""

import ast
import re
from dataclasses import dataclass

HEAD = re.compile(r"((?:C\d+, )*C\d+|More): (.+)")


@dataclass(frozen=True)
class Test:
    """One test function. `numbers` is empty where no check has a number for it, and None where it is about the suite."""

    file: str
    name: str
    numbers: tuple | None
    feature: str


def tests(folder):
    """All tests of the folder, in the order of their files and lines."""
    found = []
    for path in sorted(folder.glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found.append(read(path.name, node.name, ast.get_docstring(node) or ""))
    return found


def read(file, name, docstring):
    head = HEAD.match(" ".join(docstring.split("\n\n")[0].split()))
    if not head:
        return Test(file, name, None, docstring)
    numbers = tuple(int(number) for number in re.findall(r"C(\d+)", head[1]))
    feature = head[2].removesuffix(".")
    return Test(file, name, numbers, feature[0].upper() + feature[1:])


def table(folder, all_numbers):
    """Check to tests, as markdown."""
    lines = ["| check | tests |", "| --- | --- |"]
    for number in all_numbers:
        names = [f"`{test.file.removesuffix('.py')}::{test.name}`" for test in tests(folder) if number in (test.numbers or ())]
        lines.append(f"| {number} | {', '.join(names) or '**none**'} |")
    return "\n".join(lines)

"""Python and Lua keep to the sizes that core/tests/layers holds Rust to: functions, dataclasses, files; JavaScript to that of files."""

import ast
import re
import subprocess

from stack.paths import ROOT

MAX_FUNCTION = 60
MAX_FIELDS = 12
MAX_FILE = 500
# How a larger dataclass says why, in a comment above it.
REASON = "# Fields: "
# What is still too large, by the beginning of the line that says so. Nothing may be added.
TOO_LARGE: list[str] = []

LUA_FUNCTION = re.compile(r"(\s*)(?:local )?function\b|(\s*).*\bfunction\s*\([^)]*\)\s*$")


def faults_of_python(text: str) -> list[str]:
    """The functions and dataclasses of a file that are too large, by line."""
    lines, faults = text.splitlines(), []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            if length > MAX_FUNCTION:
                faults.append(f"{node.name}, line {node.lineno}, has {length} lines")
        elif isinstance(node, ast.ClassDef):
            fields = sum(isinstance(item, ast.AnnAssign) for item in node.body)
            if fields > MAX_FIELDS and not has_reason(lines, node):
                faults.append(f"{node.name}, line {node.lineno}, has {fields} fields, and no reason")
    return faults


def has_reason(lines: list[str], node: ast.ClassDef) -> bool:
    """Whether the comments and decorators right above a class hold a reason."""
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    for line in reversed(lines[: first - 1]):
        if line.startswith(REASON):
            return True
        if not line.startswith("#"):
            return False
    return False


def faults_of_lua(text: str) -> list[str]:
    """The functions of a file that are too large, by line: from their first line to the end that is indented as that is."""
    lines, faults = text.splitlines(), []
    for number, line in enumerate(lines):
        found = LUA_FUNCTION.match(line)
        if not found:
            continue
        last = re.compile((found[1] or found[2] or "") + r"(?:end|\})")
        length = next((end - number + 1 for end in range(number + 1, len(lines)) if last.match(lines[end])), 1)
        if length > MAX_FUNCTION:
            faults.append(f"the function in line {number + 1} has {length} lines")
    return faults


def faults(name: str, text: str) -> list[str]:
    """All that is too large in a file."""
    found = []
    if name.endswith(".lua"):
        found = faults_of_lua(text)
    elif name.endswith(".py") or (text.startswith("#!") and "python" in text.splitlines()[0]):
        found = faults_of_python(text)
    elif not name.endswith(".js"):
        return []
    lines = len(text.splitlines())
    if lines > MAX_FILE:
        found.append(f"it has {lines} lines")
    return [f"{name}: {fault}" for fault in found]


def test_functions_dataclasses_and_files_are_of_a_size():
    """As in Rust."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    files = [name for name in listed if name.endswith((".py", ".lua", ".js")) or name.startswith("scripts/")]
    assert len(files) > 100
    found = []
    for name in files:
        if (ROOT / name).is_file():
            found += faults(name, (ROOT / name).read_text())
    for one in TOO_LARGE:
        assert any(fault.startswith(one) for fault in found), f"take {one} out of TOO_LARGE"
    assert [fault for fault in found if not fault.startswith(tuple(TOO_LARGE))] == []


def test_what_is_too_large_is_found():
    """The test's own eyes."""
    body = "    x = 1\n"
    assert faults("a.py", "def f():\n" + body * 59) == []
    assert faults("a.py", "def f():\n" + body * 60) == ["a.py: f, line 1, has 61 lines"]
    fields = "".join(f"    f{number}: int\n" for number in range(13))
    assert faults("a.py", "@dataclass\nclass C:\n" + fields) == ["a.py: C, line 2, has 13 fields, and no reason"]
    assert faults("a.py", "# Fields: a wire format's.\n@dataclass\nclass C:\n" + fields) == []
    assert faults("a.lua", "local function f()\n" + "\tx();\n" * 59 + "end\n") == ["a.lua: the function in line 1 has 61 lines"]
    assert faults("a.lua", "hook(function (event)\n" + "\tx();\n" * 58 + "end);\n") == []
    assert faults("a.js", "//\n" * 501) == ["a.js: it has 501 lines"]
    assert faults("a.lua", "--\n" * 501) == ["a.lua: it has 501 lines"]

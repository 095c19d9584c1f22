"""Expands a template as AWS does before it reads the resources, and puts in what is known of its parameters.

Run by the Python of aws-sam-cli's own environment: `expand.py TEMPLATE OUTPUT [PARAMETER=VALUE …]`. What it
writes is JSON, for the tests and for checkov, which knows no Fn::ForEach. With `--loops-only` it does what the transform
AWS::LanguageExtensions has to do, and leaves everything else to whoever creates the stack. SAM's own expansion does not do
for either: it makes plain strings of Fn::Sub and Fn::Join whose parts it does not know.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

PLACEHOLDER = re.compile(r"\$\{(!?)([^}]+)\}")
ALPHANUMERIC = re.compile(r"&\{(\w+)\}")
NOTHING = {"Ref": "AWS::NoValue"}


class Loops:
    """Fn::ForEach, and within the resources what depends on its variable: Fn::FindInMap, and names that are made."""

    def __init__(self, template: dict[str, Any], parameters: dict[str, str]) -> None:
        self._mappings = template.get("Mappings", {})
        self._lists = {name: value for name, value in known(template, parameters).items() if isinstance(value, list)}

    def expand(self, value: Any, loop: dict[str, str]) -> Any:
        """`value` for these loop variables."""
        if isinstance(value, list):
            return [self.expand(one, loop) for one in value]
        if isinstance(value, str):
            value = PLACEHOLDER.sub(lambda found: loop.get(found[2], found[0]), value)
            # For logical ids, which have letters and digits only.
            return ALPHANUMERIC.sub(lambda found: re.sub(r"\W|_", "", loop[found[1]]) if found[1] in loop else found[0], value)
        if not isinstance(value, dict):
            return value
        if isinstance(name := value.get("Ref"), str) and name in loop:
            return loop[name]
        found: dict[str, Any] = {}
        for key, one in value.items():
            if key.startswith("Fn::ForEach::"):
                variable, items, body = one
                for item in self._lists[items["Ref"]] if isinstance(items, dict) else items:
                    found |= self.expand(body, loop | {variable: item})
            else:
                found[self.expand(key, loop)] = self.expand(one, loop)
        return self._reduced(found)

    def _reduced(self, value: dict[str, Any]) -> Any:
        match value:
            case {"Fn::FindInMap": [name, first, second]} if isinstance(first, str) and isinstance(second, str):
                return self._mappings[name][first][second]
            case {"Fn::Sub": str(text)} if not PLACEHOLDER.search(text):
                return text
        return value


def known(template: dict[str, Any], parameters: dict[str, str]) -> dict[str, Any]:
    """The values of the template's parameters, as they are given or by default; lists as lists."""
    kinds = {name: one["Type"] for name, one in template["Parameters"].items()}
    given = {name: one["Default"] for name, one in template["Parameters"].items() if "Default" in one} | parameters
    return {name: str(value).split(",") if kinds[name].startswith(("CommaDelimitedList", "List<")) else value
            for name, value in given.items()}


class Values:
    """What is known once the parameters are: references to them, conditions, and text made of both."""

    def __init__(self, template: dict[str, Any], parameters: dict[str, str]) -> None:
        self._known = known(template, parameters)
        self._conditions = template.get("Conditions", {})

    def resolve(self, value: Any) -> Any:
        """`value` with what is known; what only AWS knows is left as it is."""
        if isinstance(value, list):
            return [one for one in map(self.resolve, value) if one != NOTHING]
        if not isinstance(value, dict):
            return value
        match value:
            case {"Fn::If": [condition, then, otherwise]}:
                return self.resolve(then if self.holds(condition) else otherwise)
            case {"Ref": str(name)}:
                return self._known.get(name, value)
        found = {key: one for key, one in ((key, self.resolve(one)) for key, one in value.items()) if one != NOTHING}
        match found:
            case {"Fn::Sub": str(text)}:
                return self._text(text)
            case {"Fn::Join": [str(separator), list(parts)]} if all(_as_text(part) is not None for part in parts):
                return self._text(separator.join(str(_as_text(part)) for part in parts))
            case {"Fn::Split": [str(separator), str(text)]}:
                return text.split(separator)
            case {"Fn::Select": [index, list(items)]}:
                return items[int(index)]
        return found

    def _text(self, text: str) -> Any:
        def known(found: re.Match[str]) -> str:
            value = None if found[1] else self._known.get(found[2])
            return found[0] if value is None else str(value)
        text = PLACEHOLDER.sub(known, text)
        return {"Fn::Sub": text} if PLACEHOLDER.search(text) else text

    def holds(self, condition: Any) -> bool:
        """Whether a condition, or the one of this name, is true."""
        match condition:
            case str(name) | {"Condition": str(name)}:
                return self.holds(self._conditions[name])
            case {"Fn::Not": [one]}:
                return not self.holds(one)
            case {"Fn::And": parts}:
                return all(map(self.holds, parts))
            case {"Fn::Or": parts}:
                return any(map(self.holds, parts))
            case {"Fn::Equals": [one, other]}:
                return str(self.resolve(one)) == str(self.resolve(other))
        raise ValueError(f"no condition: {condition}")


def _as_text(part: Any) -> str | None:
    """A part of a Fn::Join as Fn::Sub would have it; None for what has no such form."""
    match part:
        case str():
            return part
        case {"Fn::Sub": str(text)}:
            return text
        case {"Ref": str(name)}:
            return f"${{{name}}}"
    return None


def main() -> None:
    """Command line."""
    from samcli.yamlhelper import yaml_parse
    arguments = [one for one in sys.argv[1:] if one != "--loops-only"]
    source, target = map(Path, arguments[:2])
    template = json.loads(json.dumps(yaml_parse(source.read_text())))
    given = dict(argument.split("=", 1) for argument in arguments[2:])
    expanded = Loops(template, given).expand(template, {})
    if "--loops-only" in sys.argv:
        expanded["Transform"] = [one for one in expanded["Transform"] if one != "AWS::LanguageExtensions"]
    else:
        values = Values(template, given)
        expanded |= {part: values.resolve(expanded[part]) for part in ("Globals", "Resources", "Outputs") if part in expanded}
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(expanded, indent=1))


if __name__ == "__main__":
    main()

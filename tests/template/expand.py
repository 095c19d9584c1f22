"""Expands a template as AWS does before it reads the resources: Fn::ForEach, and what depends on it.

Run by the Python of aws-sam-cli's own environment: `expand.py TEMPLATE OUTPUT [PARAMETER=VALUE …]`. What it
writes is JSON, for the tests and for checkov, which knows no Fn::ForEach.
"""

import json
import sys
from pathlib import Path

from samcli.lib.cfn_language_extensions.sam_integration import expand_language_extensions
from samcli.yamlhelper import yaml_parse

source, target = map(Path, sys.argv[1:3])
template = yaml_parse(source.read_text())
values = {name: parameter["Default"] for name, parameter in template["Parameters"].items() if "Default" in parameter}
values |= dict(argument.split("=", 1) for argument in sys.argv[3:])
target.parent.mkdir(parents=True, exist_ok=True)
expanded = expand_language_extensions(template, parameter_values=values, enabled=True).expanded_template
target.write_text(json.dumps(expanded, indent=1))

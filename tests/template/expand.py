"""Expands a template as AWS does before it reads the resources: Fn::ForEach, and what depends on it.

Run by the Python of aws-sam-cli's own environment: `expand.py TEMPLATE OUTPUT`. What it writes is JSON, for
the tests and for checkov, which knows no Fn::ForEach.
"""

import json
import sys
from pathlib import Path

from samcli.lib.cfn_language_extensions.sam_integration import expand_language_extensions
from samcli.yamlhelper import yaml_parse

source, target = map(Path, sys.argv[1:])
expanded = expand_language_extensions(yaml_parse(source.read_text()), enabled=True).expanded_template
target.parent.mkdir(parents=True, exist_ok=True)
target.write_text(json.dumps(expanded, indent=1))

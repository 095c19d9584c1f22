"""Makes of a template what AWS creates resources from: the loops expanded, then SAM's own transform.

Run by the Python of aws-sam-cli's own environment: `transform.py TEMPLATE OUTPUT NESTED [PARAMETER=VALUE …]`. Code and layers
are said to be in a bucket, as `sam deploy` would have put them there; nested templates are below the URL NESTED.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import boto3
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

sys.path.insert(0, str(Path(__file__).parent))

from expand import Loops  # noqa: E402

CODE = "s3://artifacts/code.zip"


class Policies:
    """What SAM asks IAM for: the ARNs of AWS's managed policies by name."""

    def load(self) -> dict[str, str]:
        names = ("AWSXrayWriteOnlyAccess", "service-role/AWSLambdaBasicExecutionRole",
                 "service-role/AWSLambdaVPCAccessExecutionRole")
        return {name.rpartition("/")[2]: f"arn:aws:iam::aws:policy/{name}" for name in names}


def main() -> None:
    """Command line."""
    source, target, nested = sys.argv[1:4]
    template = json.loads(json.dumps(yaml_parse(Path(source).read_text())))
    values = dict(argument.split("=", 1) for argument in sys.argv[4:])
    expanded = Loops(template, values).expand(template, {})
    expanded["Transform"] = "AWS::Serverless-2016-10-31"
    for resource in expanded["Resources"].values():
        match resource["Type"]:
            case "AWS::Serverless::LayerVersion":
                resource["Properties"]["ContentUri"] = CODE
            case "AWS::Serverless::Application":
                resource["Properties"]["Location"] = f"{nested}/{Path(resource['Properties']['Location']).stem}.json"
    if "Globals" in expanded:
        expanded["Globals"]["Function"]["CodeUri"] = CODE
    boto3.setup_default_session(region_name="eu-west-1")
    done = transform(expanded, values, Policies())
    done.pop("Transform", None)
    Path(target).write_text(json.dumps(done, indent=1))


if __name__ == "__main__":
    main()

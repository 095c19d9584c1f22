"""template.yaml has a resource for all that the code needs, with the figures that the code relies on."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase

import pytest

from stack.functions import REST_FUNCTIONS
from template import calls
from template.conftest import CELLS, EVERYTHING
from template.names import ROOT, binaries, event_types, variables

MARGIN = 30
"""Seconds beyond a function's timeout in which what it asked of the XMPP server may still take effect."""
MEGABYTE = 1024 * 1024
DAY = 24 * 3600
LEDGER = {f"dynamodb:{name}" for name in (
    "BatchGetItem", "BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem")}
REST = set(REST_FUNCTIONS)


def of_type(template: dict, kind: str) -> dict[str, dict]:
    """Properties of the resources of a type, by logical id."""
    return {name: one["Properties"] for name, one in template["Resources"].items() if one["Type"] == kind}


def functions(template: dict) -> dict[str, str]:
    """Logical id of the function that a binary is."""
    return {one["Metadata"]["BuildProperties"]["Binary"]: name for name, one in template["Resources"].items()
            if one["Type"] == "AWS::Serverless::Function"}


def setting(template: dict, logical_id: str, name: str):
    """A property of a function, or else what all functions have."""
    own = template["Resources"][logical_id]["Properties"]
    return own.get(name, template["Globals"]["Function"].get(name))


def statements(template: dict, logical_id: str) -> list[dict]:
    """What a function may do by policies of its own, beside the managed ones that are named in full."""
    properties = template["Resources"][logical_id]["Properties"]
    found = []
    if "Role" in properties:
        role = template["Resources"][properties["Role"]["Fn::GetAtt"][0]]["Properties"]
        policies, managed = [policy["PolicyDocument"] for policy in role["Policies"]], role["ManagedPolicyArns"]
    else:
        managed, policies = [], properties["Policies"]
    for policy in [*policies, *managed]:
        if not isinstance(policy, dict) or "Fn::Sub" in policy:
            continue
        if "Ref" in policy:
            policy = template["Resources"][policy["Ref"]]["Properties"]["PolicyDocument"]
        found += [one for one in policy["Statement"] if one != {"Ref": "AWS::NoValue"}]
    return found


def listed(value) -> list:
    return value if isinstance(value, list) else [value]


def allowed(template: dict, logical_id: str) -> dict[str, list]:
    """Resources by action."""
    table: dict[str, list] = {}
    for one in statements(template, logical_id):
        assert one["Effect"] == "Allow"
        for action in listed(one["Action"]):
            table.setdefault(action, []).extend(listed(one["Resource"]))
    return table


def test_every_binary_is_a_function_with_a_log_and_a_policy_of_its_own(full):
    expected = binaries() | set(event_types().values()) | {"resync", "cells", "bridge-amazon-mq"}
    assert set(functions(full)) == expected
    logs, roles = [], []
    for logical_id in functions(full).values():
        properties = full["Resources"][logical_id]["Properties"]
        logs.append(properties["LoggingConfig"]["LogGroup"]["Ref"])
        roles.append(properties["Role"]["Fn::GetAtt"][0] if "Role" in properties else logical_id)
        assert statements(full, logical_id)
    assert len(set(logs)) == len(set(roles)) == len(expected)
    for log in logs:
        assert full["Resources"][log]["Type"] == "AWS::Logs::LogGroup"
        assert full["Resources"][log]["Properties"]["RetentionInDays"]


@pytest.mark.parametrize("function", event_types().values())
def test_every_event_type_has_queue_dead_letters_and_mapping(template, function):
    queues = {properties["QueueName"]: (name, properties) for name, properties in of_type(template, "AWS::SQS::Queue").items()}
    name, queue = queues[f"sippo-xmpp-{function}"]
    dead_name, dead = queues[f"sippo-xmpp-{function}-dead"]
    assert queue["RedrivePolicy"] == {"deadLetterTargetArn": {"Fn::GetAtt": [dead_name, "Arn"]}, "maxReceiveCount": 40}
    assert dead["RedriveAllowPolicy"]["redrivePermission"] == "byQueue"
    assert dead["RedriveAllowPolicy"]["sourceQueueArns"] == [
        {"Fn::Sub": "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:sippo-xmpp-" + function}]
    for one in (queue, dead):
        assert one["SqsManagedSseEnabled"] is True
        assert one["MaximumMessageSize"] == MEGABYTE
        assert "FifoQueue" not in one
    # Dead letters keep the time of the first sending: what waited for a week has a week left there.
    assert (queue["MessageRetentionPeriod"], dead["MessageRetentionPeriod"]) == (7 * DAY, 14 * DAY)
    for each in (name, dead_name):
        kept = template["Resources"][each]
        assert kept["DeletionPolicy"] == kept["UpdateReplacePolicy"] == "Retain"
    [policy] = [one for one in of_type(template, "AWS::SQS::QueuePolicy").values() if {"Ref": name} in one["Queues"]]
    assert policy["Queues"] == [{"Ref": name}, {"Ref": dead_name}]
    [tls_only] = policy["PolicyDocument"]["Statement"]
    assert (tls_only["Effect"], tls_only["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    logical_id = functions(template)[function]
    timeout = setting(template, logical_id, "Timeout")
    assert timeout == 60
    assert timeout + MARGIN < queue["VisibilityTimeout"]
    # Retried for an hour at least, whether a function crashes each time or asks for the shortest longest wait.
    shortest = template["Parameters"]["LongestRetryWait"]["MinValue"]
    waits = [min(2**number, shortest) for number in range(40)]
    assert 40 * queue["VisibilityTimeout"] >= 3600
    assert sum(waits) >= 3600
    [mapping] = [one for one in of_type(template, "AWS::Lambda::EventSourceMapping").values()
                 if one.get("EventSourceArn") == {"Fn::GetAtt": [name, "Arn"]}]
    gathered = function.endswith(("-joined", "-left"))
    # AWS's rule for queues as event sources.
    assert queue["VisibilityTimeout"] >= 6 * timeout + mapping["MaximumBatchingWindowInSeconds"]
    assert mapping["FunctionName"] == {"Ref": logical_id}
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert (mapping["BatchSize"], mapping["MaximumBatchingWindowInSeconds"]) == ((100, 1) if gathered else (10, 0))
    assert int(mapping["ScalingConfig"]["MaximumConcurrency"]) >= 2


@pytest.mark.parametrize("function", event_types().values())
def test_an_event_function_touches_its_own_queues_and_the_ledger_only(full, function):
    queues = {properties["QueueName"]: name for name, properties in of_type(full, "AWS::SQS::Queue").items()}
    rights = allowed(full, functions(full)[function])
    own = [{"Fn::GetAtt": [queues[f"sippo-xmpp-{function}"], "Arn"]}]
    for action in ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes"):
        assert rights.pop(f"sqs:{action}") == own
    assert rights.pop("sqs:SendMessage") == [{"Fn::GetAtt": [queues[f"sippo-xmpp-{function}-dead"], "Arn"]}]
    # A domain that was deleted late has its rooms restored, which takes a walk over the ledger.
    ledger = LEDGER | ({"dynamodb:Scan"} if function.startswith("domain-") else set())
    assert {action for action in rights if action.startswith("dynamodb:")} == ledger
    for action in ledger:
        assert set(map(str, rights.pop(action))) == {str({"Fn::GetAtt": ["LedgerTable", "Arn"]})}
    assert rights["secretsmanager:GetSecretValue"] == [EVERYTHING["AdminTokenSecretArn"]]
    assert set(rights) == {"logs:CreateLogStream", "logs:PutLogEvents", "secretsmanager:GetSecretValue", "kms:Decrypt"}


def test_the_rest_functions_read_the_secrets_only(full):
    readable = [EVERYTHING["AdminTokenSecretArn"], EVERYTHING["IntrospectionSecretArn"]]
    for function in REST:
        rights = allowed(full, functions(full)[function])
        assert set(rights) == {"secretsmanager:GetSecretValue", "kms:Decrypt"}, function
        assert "*" not in str(rights["secretsmanager:GetSecretValue"])
        assert rights["secretsmanager:GetSecretValue"] == readable, function
        assert setting(full, functions(full)[function], "Timeout") == 10


def test_of_several_xmpp_servers_each_ones_token_can_be_read(cells):
    tokens = CELLS["CellTokenSecretArns"].split(",")
    for function in {*event_types().values(), *REST, "resync"}:
        assert tokens == allowed(cells, functions(cells)[function])["secretsmanager:GetSecretValue"][:2], function
    assert not set(tokens) & set(map(str, allowed(cells, functions(cells)["bridge-amazon-mq"])["secretsmanager:GetSecretValue"]))
    # Beside [[cells]] these keys stop a function's start.
    variables = cells["Globals"]["Function"]["Environment"]["Variables"]
    assert {name for name in variables if name.startswith("SIPPO_XMPP__")} == set()


def test_rest_functions_read_places_only_and_only_where_there_are_several_xmpp_servers(full, cells):
    for function in REST:
        assert "dynamodb:GetItem" not in allowed(full, functions(full)[function])
        [found] = [one for one in statements(cells, functions(cells)[function]) if one["Action"] == "dynamodb:GetItem"]
        assert found["Resource"] == {"Fn::GetAtt": ["LedgerTable", "Arn"]}
        assert found["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["domain#*"]}}
    assert 'format!("domain#{domain}"), "place"' in (ROOT / "core/src/ledger/places.rs").read_text()


def test_several_xmpp_servers_have_names_and_tokens_and_nothing_of_the_only_ones(template):
    rule = template["Rules"]["Cells"]
    text = json.dumps(rule)
    assert {name for name in ("CellNames", "CellTokenSecretArns", "AdminTokenSecretArn", "XmppUrl", "PublicXmppUrl", "HostsAdminUrl")
            if f'{{"Ref": "{name}"}}' in text} >= {"CellNames", "CellTokenSecretArns", "AdminTokenSecretArn", "XmppUrl",
                                                   "PublicXmppUrl", "HostsAdminUrl"}
    # The configuration's rule.
    pattern = template["Parameters"]["CellNames"]["AllowedPattern"]
    assert all(re.fullmatch(pattern, names) for names in ("", "eu-1", "eu-1,eu-2", 32 * "x"))
    assert not any(re.fullmatch(pattern, names) for names in (",", "eu-1,", "EU-1", "eu 1", 33 * "x"))
    assert "MAX_NAME: usize = 32" in (ROOT / "core/src/config/cells.rs").read_text()


def test_no_right_goes_beyond_a_resource_but_where_aws_knows_none(full):
    for logical_id in functions(full).values():
        for action, resources in allowed(full, logical_id).items():
            assert "*" not in action
            assert "*" not in resources or action.startswith("ec2:"), (logical_id, action)


def test_resync_may_walk_the_ledger_and_has_company_of_one_that_goes_on(full):
    logical_id = functions(full)["resync"]
    rights = allowed(full, logical_id)
    assert {action for action in rights if action.startswith("dynamodb:")} == LEDGER | {"dynamodb:Scan"}
    assert setting(full, logical_id, "Timeout") == 900
    assert setting(full, logical_id, "ReservedConcurrentExecutions") == 2
    schedules = full["Resources"][logical_id]["Properties"]["Events"]
    assert schedules["Schedule"]["Type"] == schedules["GoOn"]["Type"] == "Schedule"
    # A walk that one run does not end goes on soon, and no run begins before the last one's time is over.
    again = re.fullmatch(r"rate\((\d+) minutes\)", schedules["GoOn"]["Properties"]["Schedule"])
    assert again and 900 < 60 * int(again[1]) <= 1800
    [(key, value)] = json.loads(schedules["GoOn"]["Properties"]["Input"]).items()
    assert value is True and f'"{key}"' in (ROOT / "core/src/lambda/resync.rs").read_text()


def test_the_bridge_is_one_and_sends_to_the_event_queues_only(full, template):
    logical_id = functions(full)["bridge-amazon-mq"]
    assert setting(full, logical_id, "ReservedConcurrentExecutions") == 1
    queues = {name for name, properties in of_type(full, "AWS::SQS::Queue").items() if not properties["QueueName"].endswith("-dead")}
    rights = allowed(full, logical_id)
    assert {one["Fn::GetAtt"][0] for one in rights["sqs:SendMessage"]} == queues
    assert {action for action in rights if action.startswith("dynamodb:")} == {
        "dynamodb:GetItem", "dynamodb:UpdateItem"}
    # Not the XMPP server's admin token, with which it could be anybody.
    assert rights["secretsmanager:GetSecretValue"] == [EVERYTHING["BrokerUrlSecretArn"], EVERYTHING["BrokerSecretArn"]]
    for one in (full, template):
        kinds = {name: resource.get("Condition") for name, resource in one["Resources"].items() if name.startswith("Bridge")}
        assert kinds["BridgeFunction"] == kinds["BridgeMapping"] == "IsAmazonMQ"
        assert kinds["BridgeRole"] == "IsRabbitMQ"


def test_the_ledger_is_kept(template):
    table = template["Resources"]["LedgerTable"]
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain"
    properties = table["Properties"]
    assert properties["TableName"] == "sippo-xmpp-ledger"
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert [(key["AttributeName"], key["KeyType"]) for key in properties["KeySchema"]] == [("pk", "HASH"), ("sk", "RANGE")]
    assert {key["AttributeType"] for key in properties["AttributeDefinitions"]} == {"S"}
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["DeletionProtectionEnabled"] is True
    assert "SSESpecification" not in properties, "the key that DynamoDB owns costs nothing; SSEEnabled takes another"


def test_api_gateway_answers_pages_as_the_functions_do(full, template):
    """It answers preflights by itself once it knows the origins, and puts its headers in place of the functions'."""
    source = (ROOT / "core/src/lambda/cors.rs").read_text()
    headers = (ROOT / "core/src/config/sections.rs").read_text().partition("const DEFAULT_HEADERS")[2].partition("];")[0]
    routes = (ROOT / "core/src/lambda/routes.rs").read_text().partition("fn methods")[2].partition("fn operation")[0]
    methods = {one for group in re.findall(r'"([A-Z, ]+)"', routes) for one in group.split(", ")} - {"OPTIONS"}
    exposed = re.search(r'ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static\("([^"]+)"', source)
    age = re.search(r'ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static\("(\d+)"', source)
    assert exposed and age
    assert full["Resources"]["Api"]["Properties"]["CorsConfiguration"] == {
        "AllowOrigins": EVERYTHING["AllowedOrigins"].split(","),
        "AllowHeaders": re.findall(r'"([^"]+)"', headers),
        "AllowMethods": ["GET", "PUT", "DELETE"],
        "ExposeHeaders": exposed[1].split(", "),
        "MaxAge": int(age[1]),
    }
    assert methods == {"GET", "PUT", "DELETE"}
    variables = full["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["SIPPO_CORS__ALLOWED_ORIGINS"] == EVERYTHING["AllowedOrigins"]
    assert variables["SIPPO_CORS__ALLOWED_HEADERS"].split(",") == re.findall(r'"([^"]+)"', headers)
    assert "CorsConfiguration" not in template["Resources"]["Api"]["Properties"]


@pytest.mark.parametrize("name", ["AdminTokenSecretArn", "CellTokenSecretArns", "IntrospectionSecretArn", "BrokerSecretArn", "BrokerUrlSecretArn"])
def test_a_secrets_arn_has_its_suffix(template, name):
    """A policy that names it without the six characters allows nothing."""
    pattern = template["Parameters"][name]["AllowedPattern"]
    arns = (EVERYTHING | CELLS)[name].split(",")
    assert all(re.fullmatch(pattern, one) for one in [*arns, ""])
    assert not any(re.fullmatch(pattern, one.rpartition("-")[0]) for one in arns)


def test_with_subnets_every_function_is_in_the_vpc(full, template):
    assert full["Globals"]["Function"]["VpcConfig"] == {
        "SubnetIds": EVERYTHING["SubnetIds"].split(","), "SecurityGroupIds": [EVERYTHING["SecurityGroupIds"]]}
    assert "VpcConfig" not in template["Globals"]["Function"]
    assert [name for name in functions(full).values() if "VpcConfig" in full["Resources"][name]["Properties"]] == []


def test_every_variable_is_one_that_the_code_reads(full):
    # The last one is there to be another one: test_releases.py.
    known = variables() | {"SIPPO_LOG__LEVEL", "CONFIG_DIR", "POWERTOOLS_SERVICE_NAME", "RELEASE"}
    given = set(full["Globals"]["Function"]["Environment"]["Variables"])
    for logical_id in functions(full).values():
        given |= set(full["Resources"][logical_id]["Properties"].get("Environment", {}).get("Variables", {}))
    assert given <= known, given - known
    assert {"SIPPO_QUEUES__URL_PREFIX", "SIPPO_LEDGER__TABLE", "SIPPO_BROKER__URL_SECRET_ARN"} <= given


def test_nothing_is_named_that_only_sam_knows():
    """The transform of Fn::ForEach comes before SAM's, and refuses what it does not know."""
    text = (ROOT / "template.yaml").read_text()
    assert re.findall(r"!Ref \w+\.\w+", text) == []


@pytest.mark.parametrize("name", ["template", "template-observe"])
def test_what_is_split_is_padded(name):
    """The transform of Fn::ForEach evaluates Fn::Select whatever a condition says: a parameter may be empty then."""
    text = (ROOT / f"{name}.yaml").read_text()
    selections = re.findall(r"!Select \[(\d+), !Split \[\"(.)\", (.*)", text)
    lists = re.findall(r'!Split \[",", !Ref \w+\]', text)  # all of it is used, so nothing can be missing
    assert len(selections) == text.count("Select") == text.count("!Split") - len(lists)
    for index, separator, rest in selections:
        padded = re.match(r'!Join \["", \[!Ref \w+, "([^"]*)"\]\]\]\]', rest)
        assert padded and padded[1] == separator * int(index), rest


def test_every_function_has_alarms_on_errors_and_throttles(full):
    alarms = of_type(full, "AWS::CloudWatch::Alarm").values()
    watched = {(alarm["Dimensions"][0]["Value"]["Ref"], alarm["MetricName"]) for alarm in alarms if "MetricName" in alarm}
    expected = {one for binary, one in functions(full).items() if binary != "bridge-amazon-mq"}  # template-observe.yaml
    assert watched == {(one, metric) for one in expected for metric in ("Errors", "Throttles")}
    assert all(alarm["AlarmActions"] and alarm["OKActions"] for alarm in alarms)


def test_the_stack_policy_keeps_what_is_kept(full):
    """What outlives the stack is not replaced by an update either, and the policy hinders nothing else."""
    allow, deny = json.loads((ROOT / "stack-policy.json").read_text())["Statement"]
    assert (allow["Effect"], allow["Action"], allow["Resource"]) == ("Allow", "Update:*", "*")
    assert deny["Effect"] == "Deny" and sorted(deny["Action"]) == ["Update:Delete", "Update:Replace"]
    # A function's versions are kept by being replaced: each release is another one.
    kept = {f"LogicalResourceId/{name}" for name, one in full["Resources"].items()
            if one.get("DeletionPolicy") == "Retain" and one["Type"] != "AWS::Lambda::Version"}
    denied = {f"LogicalResourceId/{name}" for name in full["Resources"]
              if any(fnmatchcase(f"LogicalResourceId/{name}", pattern) for pattern in deny["Resource"])}
    assert kept == denied and len(kept) == 1 + 2 * len(event_types())


def test_roles_are_taken_for_this_account_only(full):
    for name, role in of_type(full, "AWS::IAM::Role").items():
        [trust] = role["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}, name


def test_rules_use_what_rules_may():
    """CloudFormation refuses others there; cfn-lint looks at the outermost only."""
    text = (ROOT / "template.yaml").read_text()
    rules = text[text.index("\nRules:"):text.index("\nConditions:")]
    assert set(re.findall(r"!(\w+)", rules)) <= {"And", "Contains", "Equals", "Not", "Or", "Ref"}


def test_every_parameter_is_described(template):
    for name, parameter in template["Parameters"].items():
        assert parameter.get("Description") or parameter.get("AllowedValues"), name


OF_THE_RUNTIME = {
    # What Lambda's poller does in the name of the function.
    "event": {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "logs:CreateLogStream", "logs:PutLogEvents"},
    "bridge": {"mq:DescribeBroker", *(f"ec2:{name}" for name in (
        "CreateNetworkInterface", "DeleteNetworkInterface", "DescribeNetworkInterfaces", "DescribeSecurityGroups",
        "DescribeSubnets", "DescribeVpcs"))},
}
"""Rights that no code of ours uses."""


@pytest.mark.parametrize("function", sorted({*event_types().values(), *REST, "resync", "cells", "bridge-amazon-mq"}))
def test_a_function_has_the_rights_that_its_code_uses_and_no_others(full, cells, function):
    kind = "event" if function in event_types().values() else "bridge" if function.startswith("bridge") else ""
    # The key that the secrets may be encrypted with.
    for template, has_cells in ((full, False), (cells, True)):
        own = set(allowed(template, functions(template)[function])) - OF_THE_RUNTIME.get(kind, set()) - {"kms:Decrypt"}
        assert own == calls.by_function(has_cells)[function], f"with cells: {has_cells}"


def test_every_call_in_the_sources_is_some_functions():
    """Or it would have been overlooked above."""
    assert set().union(*calls.by_function().values()) == calls.everywhere()
    assert calls.of_the_ledger_in_the_bridge() == {"DynamoEpochs", "EpochError", "EpochRegister"}


def test_every_call_of_the_sdk_has_a_right():
    """The reading of the sources knows the calls by name."""
    texts = [path.read_text() for folder in ("core/src", "bridge/src") for path in (ROOT / folder).rglob("*.rs")]
    made = {name for text in texts if "aws_sdk_" in text for name in re.findall(r"client\.(\w+)\(\)", text)}
    assert len(made) > 8 and made <= calls.SDK.keys() | {"get"}, made - calls.SDK.keys()

"""Releases: versions of the functions, the alias that everything calls, the gradual take-over and what takes it back."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterator

import pytest

from stack.event_types import EVENT_FUNCTIONS
from stack.functions import REST_FUNCTIONS
from template.conftest import EVERYTHING, ROOT, SAM, expand, run
from template.expand import Values
from template.test_template import functions, of_type

GRADUAL = {"Release": "7", "DeploymentType": "Canary10Percent10Minutes"}
RELEASED = {*REST_FUNCTIONS, *EVENT_FUNCTIONS}
"""All but resync, which runs once a day, cells, which an operator invokes, and the bridge function, of which there is one invocation at a time."""
BEHIND_THE_ALIAS = {"AWS::Lambda::Version", "AWS::Lambda::Alias"}
"""Types whose `FunctionName` has to be the function itself."""


@pytest.fixture(scope="module")
def gradual(folder) -> dict:
    """The resources that a gradual release has."""
    return of(expand(folder / "gradual", "template", GRADUAL), GRADUAL)


@pytest.fixture(scope="module")
def at_once(folder) -> dict:
    """The resources that a release has which takes over at once."""
    return of(expand(folder / "at-once", "template", {"Release": "7"}), {"Release": "7"})


def of(template: dict, parameters: dict[str, str]) -> dict:
    """`template` without the resources whose condition does not hold."""
    values = Values(template, parameters)
    return template | {"Resources": {name: one for name, one in template["Resources"].items()
                                     if "Condition" not in one or values.holds(one["Condition"])}}


def references(value) -> Iterator[str]:
    """Logical ids that are named in `value`, in whichever way."""
    if isinstance(value, list):
        for one in value:
            yield from references(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key == "Ref":
                yield one
            elif key == "Fn::GetAtt":
                yield one[0] if isinstance(one, list) else one.partition(".")[0]
            elif key == "Fn::Sub":
                text = one if isinstance(one, str) else one[0]
                yield from (name.partition(".")[0] for name in re.findall(r"\$\{([^!}]+)\}", text))
                yield from references([] if isinstance(one, str) else one[1])
            else:
                yield from references(one)


def aliases(template: dict) -> dict[str, str]:
    """Logical id of the alias by that of the function."""
    return {one["FunctionName"]["Ref"]: name for name, one in of_type(template, "AWS::Lambda::Alias").items()}


def past_the_alias(template: dict) -> list[str]:
    """Resources that name a function which has an alias, other than to make the alias or to shift it."""
    made = aliases(template)
    found = []
    for name, one in template["Resources"].items():
        named = set(references(one["Properties"])) & made.keys()
        if one["Type"] in BEHIND_THE_ALIAS or name in ("DeploymentRole", *made):
            continue
        if one["Type"] == "AWS::CloudWatch::Alarm":
            dimensions = {each["Name"]: each["Value"] for each in one["Properties"].get("Dimensions", [])}
            named = {each for each in named if dimensions.get("Resource") != {"Fn::Sub": f"${{{each}}}:live"}}
        found += [f"{name}: {each}" for each in sorted(named)]
    return found


def without_rollback(template: dict, observe: dict) -> set[str]:
    """Functions of which a faulty version would not be taken back."""
    groups, resources = of_type(template, "AWS::CodeDeploy::DeploymentGroup"), template["Resources"]
    elsewhere = {one["AlarmName"] for one in of_type(observe, "AWS::CloudWatch::Alarm").values() if "AlarmName" in one}
    found = set()
    for binary, function in functions(template).items():
        if binary not in RELEASED:
            continue
        policy = resources[aliases(template)[function]].get("UpdatePolicy", {}).get("CodeDeployLambdaAliasUpdate")
        group = groups.get(policy["DeploymentGroupName"]["Ref"], {}) if policy else {}
        alarms = [one["Name"] for one in group.get("AlarmConfiguration", {}).get("Alarms", [])]
        here = [resources[one["Ref"]]["Properties"] for one in alarms if isinstance(one, dict)]
        watched = {one["MetricName"]: one["Dimensions"][0]["Value"] for one in here if "MetricName" in one}
        shares = [one for one in here if "Metrics" in one and binary in EVENT_FUNCTIONS]
        by_name = {one for one in alarms if isinstance(one, str)} & elsewhere
        expected = {f"sippo-xmpp-more-dead-{binary}"} if binary in EVENT_FUNCTIONS else {"sippo-xmpp-rest-failures"}
        if not (watched == {"Errors": {"Ref": function}} and by_name == expected
                and len(shares) == (binary in EVENT_FUNCTIONS) and group["AlarmConfiguration"]["Enabled"] is True
                and {"DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_FAILURE"} <= {*group["AutoRollbackConfiguration"]["Events"]}
                and group["AutoRollbackConfiguration"]["Enabled"] is True):
            found.add(binary)
    return found


def test_without_a_release_everything_calls_what_was_deployed_last(template):
    plain = of(template, {})
    kinds = {one["Type"] for one in plain["Resources"].values()}
    assert not {kind for kind in kinds if kind in BEHIND_THE_ALIAS or "CodeDeploy" in kind}
    assert "RELEASE" not in plain["Globals"]["Function"]["Environment"]["Variables"]
    called = {name for one in plain["Resources"].values() if one["Type"] == "AWS::Lambda::EventSourceMapping"
              for name in references(one["Properties"]["FunctionName"])}
    assert called == {functions(plain)[binary] for binary in EVENT_FUNCTIONS}
    watched = [one["Properties"]["Dimensions"] for name, one in plain["Resources"].items() if name.endswith("ErrorsAlarm")]
    assert len(watched) == len(RELEASED) + 2 and {len(dimensions) for dimensions in watched} == {1}


@pytest.mark.parametrize("released", ["at_once", "gradual"])
def test_a_release_is_a_version_that_everything_calls(released, request):
    template = request.getfixturevalue(released)
    made = aliases(template)
    assert made.keys() == {functions(template)[binary] for binary in RELEASED}
    for function, alias in made.items():
        properties = template["Resources"][alias]["Properties"]
        version = template["Resources"][properties["FunctionVersion"]["Fn::GetAtt"][0]]
        assert version["Type"] == "AWS::Lambda::Version"
        # Each release is another one, and the one before stays: it is what a rollback goes to.
        assert version["Properties"] == {"FunctionName": {"Ref": function}, "Description": "7"}
        assert version["DeletionPolicy"] == version["UpdateReplacePolicy"] == "Retain"
        assert properties["Name"] == "live"
    # Lambda publishes none of what has not changed; each function has this variable.
    assert template["Globals"]["Function"]["Environment"]["Variables"]["RELEASE"] == "7"
    assert past_the_alias(template) == []
    for kind, number in (("AWS::Lambda::EventSourceMapping", len(EVENT_FUNCTIONS)), ("AWS::Lambda::Permission", len(REST_FUNCTIONS))):
        called = {name for one in of_type(template, kind).values() for name in references(one["FunctionName"])}
        assert called <= set(made.values()) and len(called) == number
    called = set(references(of_type(template, "AWS::Serverless::HttpApi")["Api"]["DefinitionBody"])) & set(made.values())
    assert len(called) == len(REST_FUNCTIONS)


@pytest.mark.parametrize("resource", ["LoginPermission", "DomainCreatedMapping", "Api", "RoomsErrorsAlarm", "RoomsThrottlesAlarm"])
def test_what_calls_a_function_past_its_alias_is_found(gradual, resource):
    """Or the test above would say nothing."""
    broken = copy.deepcopy(gradual)
    properties = broken["Resources"][resource]["Properties"]
    if resource.endswith("Alarm"):
        del properties["Dimensions"][1]
    elif resource == "Api":
        properties["DefinitionBody"]["paths"]["$default"]["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"][
            "uri"]["Fn::Sub"][1] = {"Function": {"Fn::GetAtt": ["LoginFunction", "Arn"]}}
    else:
        properties["FunctionName"] = {"Ref": resource.replace("Permission", "Function").replace("Mapping", "Function")}
    [found] = past_the_alias(broken)
    assert found.startswith(f"{resource}: ")


def test_a_release_that_takes_over_at_once_needs_no_codedeploy(at_once):
    assert not {one["Type"] for one in at_once["Resources"].values() if "CodeDeploy" in one["Type"]}
    assert "DeploymentRole" not in at_once["Resources"] and "EventsFailWithReleaseAlarm" not in at_once["Resources"]


def test_a_gradual_release_is_taken_back_by_alarms(gradual, observe):
    assert without_rollback(gradual, observe) == set()
    configured = {str(one["DeploymentConfigName"]) for one in of_type(gradual, "AWS::CodeDeploy::DeploymentGroup").values()}
    assert configured == {"CodeDeployDefault.LambdaCanary10Percent10Minutes"}


@pytest.mark.parametrize("fault", ["no alarm", "another's alarm", "an alarm that is not there", "no rollback", "no policy"])
def test_a_function_without_a_rollback_is_found(gradual, observe, fault):
    broken = copy.deepcopy(gradual)
    group = broken["Resources"]["RoomsDeploymentGroup"]["Properties"]
    alarms = group["AlarmConfiguration"]["Alarms"]
    match fault:
        case "no alarm":
            del alarms[0]
        case "another's alarm":
            alarms[0] = {"Name": {"Ref": "LoginErrorsAlarm"}}
        case "an alarm that is not there":
            alarms[1] = {"Name": "sippo-xmpp-rest-failure"}
        case "no rollback":
            group["AutoRollbackConfiguration"]["Enabled"] = False
        case "no policy":
            del broken["Resources"]["RoomsAlias"]["UpdatePolicy"]
    assert without_rollback(broken, observe) == {"rooms"}


def test_the_share_of_failing_events_tells_a_tenth_of_them(gradual):
    alarm = gradual["Resources"]["EventsFailWithReleaseAlarm"]["Properties"]
    share, *metrics = alarm["Metrics"]
    named = {one["Id"]: one["MetricStat"]["Metric"]["MetricName"] for one in metrics}
    assert {*re.findall(r"[a-z]+", share["Expression"])} == named.keys()
    assert set(named.values()) == {"events_failed", "events_handled"} and alarm["Threshold"] < 10
    documented = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "METRICS.md").read_text(), re.MULTILINE)
    assert set(named.values()) <= {*documented}


def test_codedeploy_may_shift_the_aliases_and_nothing_else(gradual):
    role = gradual["Resources"]["DeploymentRole"]["Properties"]
    [policy] = role["Policies"]
    shift, watch = policy["PolicyDocument"]["Statement"]
    assert {*shift["Action"]} == {"lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"}
    assert {name: sum(one == name for one in references(shift["Resource"])) for name in references(shift["Resource"])} == \
        dict.fromkeys(aliases(gradual), 2), "each function and its alias"
    assert (watch["Action"], watch["Resource"]) == ("cloudwatch:DescribeAlarms", "*")
    assert "ManagedPolicyArns" not in role


def test_the_kinds_of_take_over_are_codedeploys(template):
    program = ("from samtranslator.model.preferences import deployment_preference_collection as one; "
               "print(*one.CODEDEPLOY_PREDEFINED_CONFIGURATIONS_LIST)")
    assert {*template["Parameters"]["DeploymentType"]["AllowedValues"]} == {*run(SAM / "python", "-c", program).split()}


def test_only_a_release_can_take_over_gradually(template):
    rule = template["Rules"]["Gradual"]
    [assertion] = rule["Assertions"]
    for parameters, applies, allowed in (({}, False, False), (GRADUAL, True, True), (GRADUAL | {"Release": ""}, True, False)):
        values = Values(template, parameters)
        assert (values.holds(rule["RuleCondition"]), values.holds(assertion["Assert"])) == (applies, allowed)


def test_the_name_of_a_release_is_one_that_everything_takes(template):
    pattern = template["Parameters"]["Release"]["AllowedPattern"]
    assert all(re.fullmatch(pattern, name) for name in ("", "7", "2026-11-28T08.00-53028f5", "x" * 64))
    assert not any(re.fullmatch(pattern, name) for name in ("a b", "ä", "x" * 65, "a/b"))


@pytest.mark.parametrize("parameters", [{}, EVERYTHING], ids=["plain", "full"])
def test_the_api_has_the_routes_that_the_local_one_has(folder, parameters):
    """Of the functions that cargo lambda's router names, which the tests of the REST API go through."""
    template = of(expand(folder / f"routes-{len(parameters)}", "template", parameters), parameters)
    binaries = {**{name: binary for binary, name in functions(template).items()},
                **{alias: binary for binary, name in functions(template).items() if (alias := aliases(template).get(name))}}
    routes = {}
    for path, item in template["Resources"]["Api"]["Properties"]["DefinitionBody"]["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                [name] = set(references(operation["x-amazon-apigateway-integration"]["uri"])) & binaries.keys()
                routes[path, method.removeprefix("x-amazon-apigateway-").removesuffix("-method").upper()] = binaries[name]
                assert (operation.get("isDefaultRoute") is True) == (path == "$default")
    router = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["metadata"]["lambda"]["watch"]["router"]
    local = {("$default" if path in ("/", "/{*rest}") else path.replace("{*jid}", "{jid+}"), entry.get("method", "ANY")): entry["function"]
             for path, entries in router.items()
             for entry in ([{"function": entries}] if isinstance(entries, str) else entries)}
    assert routes == local

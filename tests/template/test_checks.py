"""What others have to say on the templates: SAM, cfn-lint, checkov."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from template.conftest import CHECKOV, CELLS, EVERYTHING, PARTS, ROOT, SAM, expand, run
from template.names import event_types

OUR = ["template", "template-observe"]
TEMPLATES = [*OUR, *PARTS]


@pytest.mark.parametrize("name", TEMPLATES)
def test_sam_and_cfn_lint_have_nothing_to_say(name):
    assert "is a valid SAM Template" in run(
        SAM / "sam", "validate", "--lint", "--language-extensions", "--template", ROOT / f"{name}.yaml")
    assert run(SAM / "cfn-lint", ROOT / f"{name}.yaml").strip() == ""


def texts(value, function: str | None = None) -> list[tuple[str | None, str]]:
    """All strings, with the intrinsic function that each is given to."""
    if isinstance(value, dict):
        return [found for key, one in value.items() for found in texts(one, key if key.startswith("Fn::") else None)]
    if isinstance(value, list):
        return [found for one in value for found in texts(one, function)]
    return [(function, value)] if isinstance(value, str) else []


def test_what_is_judged_is_what_is_deployed(template: dict, full: dict, observe: dict, parts: dict):
    for expanded in (template, full, observe, *(one for pair in parts.values() for one in pair)):
        given = texts(expanded.get("Globals", {})) + texts(expanded["Resources"]) + texts(expanded.get("Outputs", {}))
        substituted = [text for function, text in given if function == "Fn::Sub"]
        assert all("${" in text for text in substituted)
        # An unknown name in a string stays a name only within Fn::Sub, and what is no string is none.
        assert [text for function, text in given if function != "Fn::Sub" and ("${" in text or "{'" in text)] == []
        assert "ForEach" not in json.dumps(expanded) and "FindInMap" not in json.dumps(expanded)


@pytest.mark.parametrize("name", [*OUR, "template-network"])
def test_our_expansion_makes_the_resources_that_sams_makes(name: str, request: pytest.FixtureRequest):
    program = ("import json, sys; from samcli.yamlhelper import yaml_parse; from pathlib import Path; "
               "from samcli.lib.cfn_language_extensions.sam_integration import expand_language_extensions as expand; "
               "template = yaml_parse(Path(sys.argv[1]).read_text()); "
               "found = expand(template, parameter_values=json.loads(sys.argv[2]), enabled=True).expanded_template; "
               "print(json.dumps({name: one['Type'] for name, one in found['Resources'].items()}))")
    ours = request.getfixturevalue("parts")[name][0] if name in PARTS else \
        request.getfixturevalue({"template": "template", "template-observe": "observe"}[name])
    values = {key: one["Default"] for key, one in ours["Parameters"].items() if "Default" in one}
    values = {key: values.get(key, "x") for key in ours["Parameters"]}
    theirs = json.loads(run(SAM / "python", "-c", program, ROOT / f"{name}.yaml", json.dumps(values)))
    assert {one: resource["Type"] for one, resource in ours["Resources"].items()} == theirs


def test_checkov_has_nothing_to_say(folder: Path, full: dict, template: dict, observe: dict, parts: dict):
    output = run(CHECKOV, "--config-file", ROOT / "tests/template/checkov.yaml", "--framework", "cloudformation",
                 "--skip-download", "--output", "json", "--quiet", "--directory", folder)
    summary = json.loads(output)["summary"]
    assert summary["failed"] == summary["parsing_errors"] == 0, summary
    assert summary["passed"] > 300, "it has not seen all"


def test_checkov_finds_what_is_wrong(tmp_path: Path):
    """It reads the expanded template as it should: a ledger without recovery is found."""
    broken = expand(tmp_path / "plain", "template", EVERYTHING)
    del broken["Resources"]["LedgerTable"]["Properties"]["PointInTimeRecoverySpecification"]
    (tmp_path / "plain" / "template.json").write_text(json.dumps(broken))
    output = run(CHECKOV, "--config-file", ROOT / "tests/template/checkov.yaml", "--framework", "cloudformation",
                 "--skip-download", "--soft-fail", "--output", "json", "--quiet", "--directory", tmp_path)
    failed = json.loads(output)["results"]["failed_checks"]
    assert [check["check_id"] for check in failed] == ["CKV_AWS_28"]


def dashboard(observe: dict) -> dict:
    """What is on it."""
    body = observe["Resources"]["Dashboard"]["Properties"]["DashboardBody"]
    return json.loads(body if isinstance(body, str) else body["Fn::Sub"])


def test_each_of_several_xmpp_servers_has_its_alarm_and_all_have_a_row_of_the_dashboard(observe: dict, observe_cells: dict):
    alarms = {name: one["Properties"]["Dimensions"] for name, one in observe_cells["Resources"].items() if name.startswith("Cell")}
    assert alarms == {f"Cell{cell.replace('-', '')}AwayAlarm": [
        {"Name": "service", "Value": "sippo-xmpp"}, {"Name": "cell", "Value": cell}] for cell in CELLS["CellNames"].split(",")}
    one, several = dashboard(observe)["widgets"], dashboard(observe_cells)["widgets"]
    assert several[:len(one)] == one and len(several) == len(one) + 3
    assert {widget["y"] for widget in several[len(one):]} == {max(widget["y"] + widget["height"] for widget in one)}
    assert "SEARCH(" not in json.dumps(one) and json.dumps(several).count("SEARCH('{SippoXmpp,cell,service}") == 5
    # With one there is no such alarm: a resource with a condition that does not hold.
    assert [one.get("Condition") for name, one in observe["Resources"].items() if name.startswith("Cell")] == ["HasCells"]


@pytest.mark.parametrize("observed", ["observe", "observe_cells"])
def test_alarms_and_dashboard_know_the_documented_metrics_only(observed: str, request: pytest.FixtureRequest):
    observe = request.getfixturevalue(observed)
    documented = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "METRICS.md").read_text(), re.MULTILINE))
    alarms = [one["Properties"] for one in observe["Resources"].values() if one["Type"] == "AWS::CloudWatch::Alarm"]
    used = {alarm["MetricName"] for alarm in alarms if alarm.get("Namespace") == "SippoXmpp"}
    own = None
    for widget in dashboard(observe)["widgets"]:
        for metric in widget["properties"]["metrics"]:
            if isinstance(metric[0], dict):
                used |= set(re.findall(r'MetricName="(\w+)"', metric[0]["expression"]))
                continue
            if isinstance(metric[0], str) and metric[0] not in (".", "..."):
                own = metric[0] == "SippoXmpp"
            if own and isinstance(metric[0], str) and metric[0] != "...":
                used.add(metric[1])
    assert used <= documented, used - documented
    assert {"xmpp_connect_failures", "bridge_connected", "event_lag", "bridge_in"} <= used


@pytest.mark.parametrize("document", ["OPERATIONS", "METRICS"])
def test_the_documents_know_every_alarm(template: dict, observe_cells: dict, parts: dict, document: str):
    text = (ROOT / "docs" / f"{document}.md").read_text()
    documented = [re.compile(re.sub(r"<\w+>", r"\\w+?", name)) for name in re.findall(r"`([\w<>]+Alarm)`", text)]
    every = template, observe_cells, *(plain for plain, _ in parts.values())
    alarms = {name for one in every for name, resource in one["Resources"].items()
              if resource["Type"] == "AWS::CloudWatch::Alarm"}
    assert {name for name in alarms if not any(pattern.fullmatch(name) for pattern in documented)} == set()


def test_the_table_of_alarms_counts_them(template: dict, observe: dict):
    text = (ROOT / "docs" / "METRICS.md").read_text()
    numbers = {"ten": 10, "fifteen": 15, "sixteen": 16, "seventeen": 17}
    rows = dict(re.findall(r"^\| `([\w<>]+Alarm)`, (\w+) \|", text, re.MULTILINE))
    alarms = [name for one in (template, observe) for name, resource in one["Resources"].items()
              if resource["Type"] == "AWS::CloudWatch::Alarm"]

    def of_row(name: str) -> str:
        """The longest that fits: `DeadLettersGrow<Type>Alarm` is none of `DeadLetters<Type>Alarm`."""
        fitting = [row for row in rows if re.fullmatch(row.replace("<Type>", r"\w+"), name)]
        return max(fitting, key=len, default="")
    counted = {row: sum(of_row(name) == row for name in alarms) for row in rows}
    assert len(rows) == 5 and {row: numbers[word] for row, word in rows.items()} == counted


def test_the_costs_count_what_there_is(template: dict, full: dict, observe: dict):
    text = (ROOT / "docs" / "DEPLOY.md").read_text()

    def alarms(*conditions: str | None) -> int:
        every = [one for part in (template, observe) for one in part["Resources"].values()]
        return sum(one["Type"] == "AWS::CloudWatch::Alarm" and one.get("Condition") in conditions for one in every)
    # What several XMPP servers cost is another row.
    document = (ROOT / "docs" / "METRICS.md").read_text().partition("## Of several XMPP servers")
    daemon, function = alarms(None, "IsRabbitMQ"), alarms(None, "IsAmazonMQ", "HasBridgeFunction")
    assert daemon == function, "or the page says both"
    row = re.compile(r"^\| `\w+` \| \w+ \|", re.MULTILINE)
    metrics = len(row.findall(document[0]))
    of_a_cell = len(row.findall(document[2])) + 2  # sessions, and attempts at one
    assert f"| metrics of each XMPP server of several | 0.30 each while they are written, {of_a_cell} | 0–{0.3 * of_a_cell:.2f} |" in text
    assert f"| alarms | 0.10 each, {daemon} | {daemon / 10:.2f} |" in text
    assert f"| metrics | 0.30 each while they are written, {metrics} | 0–{0.3 * metrics:.2f} |" in text


def test_the_alarm_on_failing_events_sees_each_of_their_tries(template: dict, observe: dict):
    """One that is tried as seldom as can be by default is in every period."""
    period = observe["Resources"]["EventsFailingAlarm"]["Properties"]["Period"]
    assert period > template["Parameters"]["LongestRetryWait"]["Default"] + 390


def test_every_queue_has_its_two_alarms_and_is_on_the_dashboard(template: dict, observe: dict):
    alarms = [one["Properties"] for one in observe["Resources"].values() if one["Type"] == "AWS::CloudWatch::Alarm"]
    watched = {(alarm["Dimensions"][0]["Value"], alarm["MetricName"]) for alarm in alarms if alarm.get("Namespace") == "AWS/SQS"}
    grown = {alarm["Metrics"][1]["MetricStat"]["Metric"]["Dimensions"][0]["Value"] for alarm in alarms if "Metrics" in alarm}
    names = {one["Properties"]["QueueName"] for one in template["Resources"].values() if one["Type"] == "AWS::SQS::Queue"}
    assert len(names) == 2 * len(event_types())
    assert watched == {
        (name, "ApproximateNumberOfMessagesVisible" if name.endswith("-dead") else "ApproximateAgeOfOldestMessage")
        for name in names}
    assert grown == {name for name in names if name.endswith("-dead")}
    # Each by its name: a search expression would fit none of them or too many.
    body = json.dumps(observe["Resources"]["Dashboard"]["Properties"]["DashboardBody"])
    assert [name for name in names if f'{name}\\"' not in body] == []
    for alarm in alarms:
        assert alarm["AlarmActions"] and alarm["OKActions"], alarm
        # A bridge that does not run is silent.
        silence = "breaching" if alarm.get("MetricName") == "bridge_connected" else "notBreaching"
        assert alarm["TreatMissingData"] == silence

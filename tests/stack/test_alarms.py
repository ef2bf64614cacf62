from __future__ import annotations

import json

import pytest

from bff.metric_names import DIMENSION, NAMESPACE, REQUEST_LATENCY, TIME_TO_FIRST_EVENT
from bff.telemetry import emf
from bff.telemetry.emf import EmbeddedMetrics
from bff.telemetry.metrics import Meter
from tests.stack.planner import Plan, Planned, make_plan
from tests.stack.reading import BOTH, Plans


def alarms(plan: Plan) -> dict[str, Planned]:
    return {alarm.name.removeprefix("bff-"): alarm for alarm in plan.all("metricAlarm:MetricAlarm")}


@BOTH
def test_alarms__all_that_were_asked_for(planned: Plans, stack: str) -> None:
    prod_only = {
        *("at-max-tasks", "firewall-blocks", "cache-full", "cache-throttles"),
    }
    assert set(alarms(planned(stack))) - prod_only == {
        *("internal-errors", "history-failures"),
        *("table-read-throttles", "table-write-throttles"),
        *("target-5xx", "balancer-5xx", "latency", "unhealthy-hosts", "tasks-missing"),
        *("cpu", "memory", "agent-throttles", "agent-failures", "most-runs-fail", "first-event"),
    }
    assert (prod_only <= set(alarms(planned(stack)))) is (stack == "prod")


@BOTH
def test_every_alarm__acts_and_is_quiet_without_data(planned: Plans, stack: str) -> None:
    for name, alarm in alarms(planned(stack)).items():
        topic = planned(stack).outputs["alertsTopicArn"]
        assert alarm["alarmActions"] == alarm["okActions"] == [topic], name
        assert alarm["treatMissingData"] == "notBreaching", name
        assert alarm["alarmDescription"], name


@pytest.mark.parametrize(
    ("name", "metric", "statistic", "over", "period", "times"),
    [
        ("target-5xx", "HTTPCode_Target_5XX_Count", "Sum", 10, 60, 2),
        ("balancer-5xx", "HTTPCode_ELB_5XX_Count", "Sum", 10, 60, 2),
        ("latency", "RequestLatency", "Average", 2000, 60, 3),
        ("cpu", "CPUUtilization", "Average", 90, 300, 2),
    ],
)
def test_alarm__threshold(
    prod: Plan, name: str, metric: str, statistic: str, over: int, period: int, times: int
) -> None:
    alarm = alarms(prod)[name]

    assert alarm["metricName"] == metric
    assert alarm["comparisonOperator"] == "GreaterThanThreshold"
    assert (alarm["statistic"], alarm["threshold"]) == (statistic, over)
    assert (alarm["period"], alarm["evaluationPeriods"]) == (period, times)


def test_latency_alarm__does_not_count_what_waits_for_an_agent(prod: Plan) -> None:
    # The balancer's own TargetResponseTime has a blocking chat's whole run in it.
    assert alarms(prod)["latency"]["namespace"] == NAMESPACE


@BOTH
def test_own_metrics__by_the_dimension_that_the_task_writes(planned: Plans, stack: str) -> None:
    definition = planned(stack).one("taskDefinition:TaskDefinition")
    (container,) = json.loads(definition["containerDefinitions"])
    told = {pair["name"]: pair["value"] for pair in container["environment"]}

    for alarm in alarms(planned(stack)).values():
        if alarm.inputs.get("namespace") == NAMESPACE:
            assert alarm["dimensions"] == {"Service": told["SERVICE_NAME"]}
    assert told["METRICS"] == "emf"


@BOTH
def test_own_metrics__are_ones_the_service_writes(planned: Plans, stack: str) -> None:
    plan = planned(stack)
    used = {
        a["metricName"] for a in alarms(plan).values() if a.inputs.get("namespace") == NAMESPACE
    }
    for alarm in alarms(plan).values():
        for query in alarm.inputs.get("metricQueries", ()):
            if query.get("metric", {}).get("namespace") == NAMESPACE:
                used.add(query["metric"]["metricName"])
    streams = plan.one("appautoscaling/policy:Policy", "bff-streams")
    tracked = streams["targetTrackingScalingPolicyConfiguration"]["customizedMetricSpecification"]

    assert tracked["dimensions"][0]["name"] == DIMENSION
    assert used | {tracked["metricName"]} <= set(emf.UNITS)


@BOTH
def test_dashboard__own_metrics_are_in_what_a_task_writes(planned: Plans, stack: str) -> None:
    plan = planned(stack)
    name = f"agentcore-bff-{stack}"
    writer = EmbeddedMetrics(name)
    for timing in (TIME_TO_FIRST_EVENT, REQUEST_LATENCY):
        writer.timing(timing, 0.1)
    written = writer.document(Meter().registry)
    body = json.loads(plan.one("dashboard:Dashboard")["dashboardBody"])
    shown = [
        metric
        for widget in body["widgets"]
        for metric in widget["properties"].get("metrics", ())
        if metric[0] == NAMESPACE
    ]

    assert len(shown) > 10
    for _, metric, dimension, value, *_ in shown:
        assert metric in written
        assert written[dimension] == value == name
    (told,) = written["_aws"]["CloudWatchMetrics"]
    assert (told["Namespace"], told["Dimensions"]) == (NAMESPACE, [[DIMENSION]])


@BOTH
def test_most_runs_fail__is_told_where_few_people_talk(planned: Plans, stack: str) -> None:
    alarm = alarms(planned(stack))["most-runs-fail"]
    queries = {query["id"]: query for query in alarm["metricQueries"]}

    assert queries["fail"]["expression"] == "IF(failed * 2 > ended AND ended >= 3, 1, 0)"
    for id, metric in (("ended", "Runs"), ("failed", "RunErrors")):
        assert queries[id]["metric"]["metricName"] == metric
        assert queries[id]["metric"]["dimensions"] == {"Service": f"agentcore-bff-{stack}"}
        assert (queries[id]["metric"]["stat"], queries[id]["metric"]["period"]) == ("Sum", 900)
    assert (alarm["threshold"], alarm["evaluationPeriods"]) == (0, 1)


@BOTH
def test_every_alarm__says_which_stack_calls(planned: Plans, stack: str) -> None:
    for name, alarm in alarms(planned(stack)).items():
        assert alarm["name"] == f"agentcore-bff-{stack}-{name}"


@BOTH
def test_tasks_missing__compares_desired_with_running(planned: Plans, stack: str) -> None:
    queries = {
        query["id"]: query for query in alarms(planned(stack))["tasks-missing"]["metricQueries"]
    }

    assert queries["missing"]["expression"] == "desired - running"
    for id, metric in (("desired", "DesiredTaskCount"), ("running", "RunningTaskCount")):
        assert queries[id]["metric"]["metricName"] == metric
        assert queries[id]["metric"]["dimensions"] == {
            "ClusterName": f"agentcore-bff-{stack}",
            "ServiceName": f"agentcore-bff-{stack}",
        }


def test_alarm_email__subscribes_a_person() -> None:
    subscription = make_plan("prod", {"alarmEmail": "oncall@example.com"}).one(
        "topicSubscription:TopicSubscription"
    )

    assert (subscription["protocol"], subscription["endpoint"]) == ("email", "oncall@example.com")


@BOTH
def test_dashboard__shows_every_alarm_and_every_metric_alarmed_on(
    planned: Plans, stack: str
) -> None:
    plan = planned(stack)
    body = json.loads(plan.one("dashboard:Dashboard")["dashboardBody"])
    shown = json.dumps([widget for widget in body["widgets"] if widget["type"] == "metric"])
    (strip,) = [widget for widget in body["widgets"] if widget["type"] == "alarm"]

    assert len(strip["properties"]["alarms"]) == len(alarms(plan))
    for alarm in alarms(plan).values():
        queries = alarm.inputs.get("metricQueries", ())
        names = [query["metric"]["metricName"] for query in queries if "metric" in query]
        for name in names or [alarm["metricName"]]:
            assert f'"{name}"' in shown, name


@BOTH
def test_dashboard__widgets_do_not_overlap_and_fit(planned: Plans, stack: str) -> None:
    body = json.loads(planned(stack).one("dashboard:Dashboard")["dashboardBody"])
    taken: set[tuple[int, int]] = set()

    for widget in body["widgets"]:
        cells = {
            (widget["x"] + across, widget["y"] + down)
            for across in range(widget["width"])
            for down in range(widget["height"])
        }
        assert not cells & taken, widget["properties"]["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells


@BOTH
def test_dashboard__log_query_reads_the_services_group(planned: Plans, stack: str) -> None:
    body = json.loads(planned(stack).one("dashboard:Dashboard")["dashboardBody"])
    (log,) = [widget for widget in body["widgets"] if widget["type"] == "log"]

    assert log["properties"]["query"].startswith(f"SOURCE '/agentcore-bff-{stack}'")

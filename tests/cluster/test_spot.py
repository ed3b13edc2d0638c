"""Spot notices, against metadata services on the loopback interface."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cluster import drain, spot
from cluster.spot import Notice, aws_notice, gcp_notice, poll_of_this_cloud
from tests.cluster.metadata_server import Metadata, served

NOWHERE = "http://127.0.0.1:9"  # the discard port: refused at once


@pytest.fixture
def aws() -> Iterator[Metadata]:
    with served(Metadata("aws")) as metadata:
        yield metadata


@pytest.fixture
def gcp() -> Iterator[Metadata]:
    with served(Metadata("gcp", notice="FALSE")) as metadata:
        yield metadata


def test_aws_gives_notice_with_a_deadline(aws: Metadata) -> None:
    assert aws_notice(aws.url) is None
    aws.give_notice(seconds=120)
    notice = aws_notice(aws.url)
    assert notice is not None
    assert 115 < notice.seconds_left() <= 120
    assert "terminate" in notice.reason
    assert aws.asked[0] == "/latest/api/token"


def test_gcp_gives_notice_and_half_a_minute(gcp: Metadata) -> None:
    assert gcp_notice(gcp.url) is None
    gcp.give_notice()
    notice = gcp_notice(gcp.url)
    assert notice is not None
    assert 25 < notice.seconds_left() <= 30


@pytest.mark.parametrize(
    "body", ["", "{}", "[]", "null", "not json", '{"action": "stop", "time": "soon"}', '{"time": 5}']
)
def test_what_is_no_notice_is_none(aws: Metadata, gcp: Metadata, body: str) -> None:
    aws.notice = gcp.notice = body
    assert aws_notice(aws.url) is None
    assert gcp_notice(gcp.url) is None


def test_the_cloud_is_found_by_who_answers(aws: Metadata, gcp: Metadata) -> None:
    assert poll_of_this_cloud(aws_url=NOWHERE, gcp_url=NOWHERE) is None
    # Each answers the other's questions too, with an error: the headers and paths tell them apart.
    for server in (aws, gcp):
        poll = poll_of_this_cloud(aws_url=server.url, gcp_url=server.url)
        assert poll is not None
        assert poll() is None
        server.give_notice()
        assert isinstance(poll(), Notice)


def test_a_silent_server_costs_a_second_and_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spot, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        assert aws_notice(url) is None
        assert gcp_notice(url) is None
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("url", ["http://no.such.host.invalid", "ftp://127.0.0.1", "nonsense", "http://127.0.0.1:bad"])
def test_a_wrong_address_has_no_notice(url: str) -> None:
    assert aws_notice(url) is None
    assert gcp_notice(url) is None


def test_the_proxy_of_the_environment_is_not_asked(gcp: Metadata, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", NOWHERE)
    gcp.give_notice()
    assert gcp_notice(gcp.url) is not None


def test_a_deadline_that_has_passed_leaves_nothing() -> None:
    now = datetime.now(UTC)
    assert Notice(deadline=now - timedelta(seconds=5), reason="").seconds_left(now) == 0
    assert Notice(deadline=now + timedelta(seconds=5), reason="").seconds_left(now) == 5


def test_a_watch_polls_until_there_is_a_notice_and_drains_again_when_that_fails() -> None:
    notice = Notice(deadline=datetime.now(UTC) + timedelta(seconds=30), reason="spot")
    polls = iter([None, None, notice])
    drained: list[tuple[str, float]] = []

    def drain_at_the_second_attempt(reason: str, seconds: float) -> None:
        drained.append((reason, seconds))
        if len(drained) == 1:
            raise ConnectionError("the head is busy")

    assert drain.watch(lambda: next(polls), drain_at_the_second_attempt, pause=0.01) is notice
    assert [reason for reason, _ in drained] == ["spot", "spot"]
    assert 25 < drained[1][1] < drained[0][1] <= 30


def test_a_watch_gives_up_at_the_deadline() -> None:
    notice = Notice(deadline=datetime.now(UTC), reason="spot")

    def refuse(reason: str, seconds: float) -> None:
        raise ConnectionError("no head")

    assert drain.watch(lambda: notice, refuse, pause=0.01) is notice


def test_a_watch_without_an_address_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(SystemExit, match="2"):
        drain.main([])
    assert "--address" in capsys.readouterr().err


def test_no_watcher_where_no_cloud_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "poll_of_this_cloud", lambda: None)
    assert drain.main(["--address", "127.0.0.1:6379"]) == 0


@pytest.mark.parametrize("module", ["cluster.nodes", "cluster.spot", "cluster.drain"])
def test_a_watcher_loads_neither_ray_nor_torch_nor_the_rest_of_the_project(module: str) -> None:
    code = (
        f"import sys, {module}; print(sorted({{'ray', 'torch', 'raysweep', 'trials', 'analysis'}} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    printed = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "[]"

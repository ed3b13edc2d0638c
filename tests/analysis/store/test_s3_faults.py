"""S3 that fails: every fault is survived or told in one line, and what was reported as done is there."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from analysis.store.errors import AccessDenied, StoreError, StoreMissing, StoreUnreachable
from analysis.store.results import Results
from tests.analysis.store.samples import SCHEMA, STUDY, rows, trial
from tests.conftest import Place, Server, bucket_on, free_port
from tests.fault_proxy import SECRET, FaultProxy, fault_proxy, healthy

pytestmark = pytest.mark.usefixtures("credentials")


@pytest.fixture(params=["moto", "rclone"])
def faulty(
    request: pytest.FixtureRequest, credentials: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[FaultProxy, Place]]:
    server: Server = request.getfixturevalue(f"{request.param}_server")
    place = bucket_on(server, monkeypatch)
    # No waiting between attempts: the faults here do not depend on time.
    monkeypatch.setattr("botocore.retryhandler.delay_exponential", lambda base, growth_factor, attempts: 0.0)
    with fault_proxy(server.endpoint) as (proxy, address):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        yield proxy, place


def write(results: Results, name: str, scale: float = 1.0) -> None:
    results.write(SCHEMA, [trial(name)], {name: rows(scale)})


@pytest.mark.parametrize("fault", ["error", "slow down", "reset", "lost", "truncated"])
def test_passing_faults_are_survived(faulty: tuple[FaultProxy, Place], fault: str) -> None:
    proxy, place = faulty
    proxy.fault = lambda method, number, attempt: fault if attempt < 2 else None
    results = Results(place.root)
    write(results, "a")
    write(results, "b", 2.0)
    assert results.compact(STUDY).trials == 2
    proxy.fault = healthy
    assert results.finished(STUDY) == {"a", "b"}
    assert results.measurements(STUDY).sort_values(["trial_id", "step"])["loss"].tolist() == [0, 1, 2, 0, 2, 4]
    assert results.check(STUDY) == []


def test_of_a_writer_that_dies_within_a_request_nothing_is_there(faulty: tuple[FaultProxy, Place]) -> None:
    proxy, place = faulty
    results = Results(place.root)
    write(results, "a")
    address = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    for path in [path for method, path in proxy.requests if method == "PUT"]:
        folder, name = path.rsplit("/", 1)
        with socket.create_connection((address.hostname, address.port)) as dying:
            dying.sendall(f"PUT {folder}/f{name[1:]} HTTP/1.1\r\nHost: s3\r\nContent-Length: 1000\r\n\r\nPAR1".encode())
            dying.shutdown(socket.SHUT_WR)
            with pytest.raises(ConnectionResetError):
                dying.recv(1)
    assert results.finished(STUDY) == {"a"}
    assert results.check(STUDY) == []


def test_a_rivals_conflicting_write_is_waited_for(faulty: tuple[FaultProxy, Place]) -> None:
    proxy, place = faulty
    proxy.fault = lambda method, number, attempt: "conflict" if method == "PUT" and attempt < 2 else None
    results = Results(place.root)
    write(results, "a")
    assert results.finished(STUDY) == {"a"}


def test_an_answer_lost_at_every_write_of_a_compaction(faulty: tuple[FaultProxy, Place]) -> None:
    proxy, place = faulty
    results = Results(place.root)
    for name in "ab":
        write(results, name)
    lost: list[int] = []

    def lose_each_once(method: str, number: int, attempt: int) -> str | None:
        if method not in ("PUT", "DELETE") or attempt > 0:
            return None
        lost.append(number)
        return "lost"

    proxy.fault = lose_each_once
    assert results.compact(STUDY).trials == 2
    assert len(lost) >= 8
    assert results.check(STUDY) == []


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("error", StoreUnreachable, "keeps failing .*InternalError"),
        ("slow down", StoreUnreachable, "keeps failing .*SlowDown"),
        ("reset", StoreUnreachable, "cannot be reached"),
        ("expired", AccessDenied, "have expired"),
        ("denied", AccessDenied, "denies access"),
        ("skewed", AccessDenied, "clock"),
    ],
)
def test_lasting_faults_are_told_in_one_line(
    faulty: tuple[FaultProxy, Place], fault: str, error: type[StoreError], message: str
) -> None:
    proxy, place = faulty
    results = Results(place.root)
    write(results, "a")
    proxy.fault = lambda method, number, attempt: fault
    with pytest.raises(error, match=message) as caught:
        write(results, "b")
    told = str(caught.value)
    assert "\n" not in told
    assert SECRET not in told
    assert caught.value.__cause__ is None
    proxy.fault = healthy
    assert results.finished(STUDY) == {"a"}


def test_credentials_that_expire_in_mid_sweep_lose_nothing(faulty: tuple[FaultProxy, Place]) -> None:
    proxy, place = faulty
    proxy.fault = lambda method, number, attempt: "expired" if number > 20 else None
    done: list[str] = []
    results = Results(place.root)
    with pytest.raises(AccessDenied, match="expired"):
        for number in range(100):
            write(results, f"t{number}")
            done.append(f"t{number}")
    assert done
    proxy.fault = healthy
    assert results.finished(STUDY) >= set(done)


@pytest.mark.slow
def test_a_sweep_through_random_faults(faulty: tuple[FaultProxy, Place]) -> None:
    proxy, place = faulty
    chance = random.Random(0)
    results = Results(place.root)
    faults = ["error", "slow down", "reset", "lost", "truncated"]
    proxy.fault = lambda method, number, attempt: chance.choice(faults) if chance.random() < 0.2 else None
    for number in range(20):
        write(results, f"t{number}", float(number))
        if number % 7 == 6:
            results.compact(STUDY)
    proxy.fault = healthy
    results.compact(STUDY)
    assert results.check(STUDY) == []
    sums = results.measurements(STUDY).groupby("trial_id")["loss"].sum()
    assert sums.to_dict() == {f"t{number}": 3.0 * number for number in range(20)}


def test_an_unreachable_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://user:{SECRET}@127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(StoreUnreachable, match="cannot be reached for s3://bucket") as caught:
        Results("s3://bucket").prepare(SCHEMA)
    assert SECRET not in str(caught.value)


def test_a_missing_bucket(faulty: tuple[FaultProxy, Place]) -> None:
    with pytest.raises(StoreMissing, match="bucket no-such-bucket does not exist"):
        Results("s3://no-such-bucket/prefix").prepare(SCHEMA)


def test_wrong_keys(rclone_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    place = bucket_on(rclone_server, monkeypatch)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with pytest.raises(AccessDenied, match="denies access") as caught:
        Results(place.root).prepare(SCHEMA)
    assert SECRET not in str(caught.value)


def test_no_credentials_at_all(moto_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server.endpoint)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AccessDenied, match="no usable AWS credentials"):
        Results("s3://bucket/prefix").prepare(SCHEMA)

"""Spot notices: AWS and GCP tell a machine about two minutes, or half a minute, before they take it back.

Both tell it over plain HTTP at an address that only the machine itself reaches. Nothing here raises: a machine that
cannot be asked has no notice.
"""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

AWS_METADATA = "http://169.254.169.254"
GCP_METADATA = "http://169.254.169.254"  # its name, metadata.google.internal, takes other clouds long to look up
TIMEOUT_SECONDS = 1.0  # the answer comes from the machine's own hypervisor, or not at all

_AWS_TOKEN_SECONDS = "60"
_GCP_NOTICE = timedelta(seconds=30)
_GCP_HEADER = {"Metadata-Flavor": "Google"}


@dataclass(frozen=True, kw_only=True)
class Notice:
    """The cloud takes this machine back.

    Attributes:
        deadline: When, in UTC.
        reason: What the cloud says of it.
    """

    deadline: datetime
    reason: str

    def seconds_left(self, now: datetime | None = None) -> float:
        """Return the seconds until the deadline, 0 when it has passed."""
        return max(0.0, (self.deadline - (now or datetime.now(UTC))).total_seconds())


Poll = Callable[[], Notice | None]


def aws_notice(base_url: str = AWS_METADATA) -> Notice | None:
    """Return the notice that EC2 has put up for this instance, None while there is none.

    Source: Amazon EC2 user guide, "Spot Instance interruption notices": spot/instance-action in the instance metadata,
    read with a session token of the metadata service's second version.
    """
    token = _aws_token(base_url)
    if token is None:
        return None
    answer = _asked(f"{base_url}/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token})
    return None if answer is None else _aws_read(answer)


def gcp_notice(base_url: str = GCP_METADATA) -> Notice | None:
    """Return a notice when Compute Engine has begun to preempt this machine, None before.

    Source: Compute Engine documentation, "Spot VMs": `instance/preempted` turns TRUE, and the machine is off about 30
    seconds later. The deadline is counted from now, so ask every few seconds.
    """
    answer = _asked(f"{base_url}/computeMetadata/v1/instance/preempted", _GCP_HEADER)
    if answer is None or answer.strip().upper() != "TRUE":
        return None
    return Notice(deadline=datetime.now(UTC) + _GCP_NOTICE, reason="GCP preempts this machine")


def poll_of_this_cloud(aws_url: str = AWS_METADATA, gcp_url: str = GCP_METADATA) -> Poll | None:
    """Return the function to poll on this machine; None where neither AWS nor GCP answers, as on one's own machines."""
    if _asked(f"{gcp_url}/computeMetadata/v1/instance/id", _GCP_HEADER) is not None:
        return lambda: gcp_notice(gcp_url)
    if _aws_token(aws_url) is not None:
        return lambda: aws_notice(aws_url)
    return None


def _aws_token(base_url: str) -> str | None:
    headers = {"X-aws-ec2-metadata-token-ttl-seconds": _AWS_TOKEN_SECONDS}
    return _asked(f"{base_url}/latest/api/token", headers, method="PUT") or None


def _aws_read(answer: str) -> Notice | None:
    """Read `{"action": "terminate", "time": "2030-01-01T00:00:00Z"}`."""
    try:
        notice = json.loads(answer)
        deadline = datetime.fromisoformat(notice["time"])
        return Notice(deadline=deadline.astimezone(UTC), reason=f"AWS will {notice['action']} this instance")
    except (ValueError, KeyError, TypeError, OverflowError):
        return None


def _asked(url: str, headers: Mapping[str, str], method: str = "GET") -> str | None:
    """Return the body of a successful answer, None for every other end."""
    # A machine's own metadata is never behind a proxy, whatever the environment says of other addresses.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        request = urllib.request.Request(url, headers=dict(headers), method=method)
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            return str(response.read(65536).decode("utf-8"))
    except (OSError, http.client.HTTPException, ValueError):  # urllib's own errors are OSErrors
        return None

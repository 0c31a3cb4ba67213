"""Who has work in hand in object storage, where no lock ends with its process."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from glm2x import leases
from glm2x.claims import claimed, claims
from glm2x.url import Url
from s3_server import S3

FOLDER = Url("s3://b", "store")
LEASE = "b/store/claims/shard"


def test_one_has_it_until_the_end(s3: S3) -> None:
    with claimed(FOLDER, "shard") as mine:
        assert mine
        assert claims(FOLDER) == 1
        with claimed(FOLDER, "shard") as again:
            assert not again
        with claimed(FOLDER, "another") as other:
            assert other
            assert claims(FOLDER) == 2
    assert claims(FOLDER) == 0
    assert s3.objects == {}


def test_it_ends_with_an_error(s3: S3) -> None:
    with pytest.raises(RuntimeError), claimed(FOLDER, "shard"):
        raise RuntimeError
    with claimed(FOLDER, "shard") as mine:
        assert mine


@pytest.mark.parametrize("ahead", [0, 86_400, -86_400])
def test_what_a_killed_process_left_is_taken_by_one(s3: S3, ahead: float) -> None:
    """Its age is by the storage's clock, whatever those of machines say."""
    s3.ahead = ahead
    s3.put(LEASE, b"a process that was killed")
    with claimed(FOLDER, "shard") as mine:
        assert not mine
    assert claims(FOLDER) == 1
    s3.age(LEASE, leases.LEASE + 2)
    assert claims(FOLDER) == 0
    with ExitStack() as stack, ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: stack.enter_context(claimed(FOLDER, "shard")), range(8)))
        assert sum(taken) == 1
        assert claims(FOLDER) == 1
    assert s3.below("b/store/claims/") == {}


def test_while_its_process_lives_it_is_renewed(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEWED", 0.02)
    with claimed(FOLDER, "shard"):
        s3.age(LEASE, leases.LEASE + 2)
        s3.fault = lambda method, key: 400 if method == "PUT" and len(s3.asked) % 2 else None
        deadline = time.monotonic() + 20
        while not claims(FOLDER):
            assert time.monotonic() < deadline
        s3.fault = None
        with claimed(FOLDER, "shard") as again:
            assert not again
    assert s3.objects == {}


def test_one_that_was_lost_is_left_to_its_new_owner(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEWED", 0.02)
    with claimed(FOLDER, "shard"):
        s3.put(LEASE, b"another")
        time.sleep(0.2)
    assert s3.below("b/store/") == {"claims/shard": b"another"}


def test_who_may_not_write_counts_them_all(s3: S3) -> None:
    s3.put(LEASE, b"somebody")
    s3.age(LEASE, leases.LEASE + 2)
    s3.fault = lambda method, key: 403 if method == "PUT" else None
    assert claims(FOLDER) == 1

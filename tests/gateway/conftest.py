"""One venue for each file of tests, and a client for each test."""

import pytest

from tests.gateway.running import running


@pytest.fixture(scope="module")
def venue():
    with running() as venue:
        yield venue


@pytest.fixture
def client(venue):
    client = venue.client()
    yield client
    client.close()

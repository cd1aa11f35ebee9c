from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.publishing import zmq_context

from rtface.publish.sockets import Context


@pytest.fixture
def context() -> Iterator[Context]:
    with zmq_context() as lent:
        yield lent

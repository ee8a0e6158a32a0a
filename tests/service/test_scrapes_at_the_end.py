"""Scrapes while the service stops: each is answered whole, or refused; none is cut, and nothing holds up the end.

Of `service/metrics/http.py`.
"""

from __future__ import annotations

import http.client
import threading
from pathlib import Path

import pytest

from straced.service.metrics import protobuf
from tests.service.daemon import serving
from tests.service.test_scrapers import free_port
from tests.support.poll import until

TEXT = "application/openmetrics-text"


def scrape(port: int, accept: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/metrics", headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.read()  # raises IncompleteRead for one that is cut
    finally:
        connection.close()


@pytest.mark.limit(120)
def test_no_scrape_is_cut(tmp_path: Path) -> None:
    port = free_port()
    answers: list[tuple[str, int, bytes]] = []
    cut: list[Exception] = []
    over = threading.Event()

    def scrapes(accept: str) -> None:
        while not over.is_set():
            try:
                answers.append((accept, *scrape(port, accept)))
            except (ConnectionError, http.client.RemoteDisconnected):
                pass  # refused: nobody listens any more, or not yet
            except Exception as error:
                cut.append(error)
                return

    threads = [threading.Thread(target=scrapes, args=(accept,)) for accept in (TEXT, TEXT, protobuf.CONTENT_TYPE)]
    try:
        with serving(tmp_path, f'tracer = "none"\n[metrics]\nlisten = "127.0.0.1:{port}"\n') as daemon:
            for thread in threads:
                thread.start()
            until(lambda: len({accept for accept, status, _body in answers if status == 200}) == 2, 60)
            assert daemon.stop() < 10
    finally:
        over.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join(60)
    assert cut == []
    assert {status for _accept, status, _body in answers} <= {200, 503}
    for accept, status, body in answers:
        if status == 503:
            assert body == b"the service is stopping\n"
        elif accept == TEXT:
            assert body.endswith(b"# EOF\n")
        else:
            assert b"straced_build_info" in body
    assert "internal fault" not in daemon.log.read_text()

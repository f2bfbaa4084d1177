"""A tiny exporter for Prometheus to scrape: what it serves is what the test sets."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from driftd.demo.children import Children
from stack.prometheus import Prometheus


class Gauge:
    """``values``: series -> value, as in ``{'gpu_busy{model="m"}': 0.5}``."""

    def __init__(self, values: dict[str, float], address: str) -> None:
        self.values = values
        self.address = address


@contextmanager
def serving(values: dict[str, float]) -> Iterator[Gauge]:
    """Serve ``values`` on a free port of the loopback while the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            lines = [f"{series} {value}\n" for series, value in values.items()]
            self.wfile.write("".join(lines).encode())

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield Gauge(values, f"127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def scraping(children: Children, folder: Path, address: str) -> Prometheus:
    """A Prometheus, started, that scrapes ``address`` each second."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 900ms}\n"
        f"scrape_configs: [{{job_name: gauge, static_configs: [{{targets: ['{address}']}}]}}]\n"
    )
    server = Prometheus(children, folder, config)
    server.start()
    return server

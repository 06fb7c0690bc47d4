"""Apprise behind Flask and gunicorn, one worker with 64 threads; SendGrid as the service.

python apprise_app.py URL
"""

from __future__ import annotations

import sys
from typing import Any

from apprise import Apprise
from apprise.plugins.sendgrid import NotifySendGrid
from flask import Flask, Response, jsonify, request
from gunicorn.app.base import BaseApplication

NotifySendGrid.notify_url = f"{sys.argv[1]}/v3/mail/send"
NotifySendGrid.request_rate_per_sec = 0  # it would wait between two messages
app = Flask(__name__)


@app.post("/v1/send")
def send() -> tuple[Response, int]:
    message: dict[str, str] = request.get_json()
    service = Apprise()
    service.add(f"sendgrid://SGbench:codes@example.com/{message['to']}")
    sent = service.notify(title="Your code", body=message["text"])
    return jsonify(status="accepted" if sent else "failed"), 200 if sent else 502


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn is untyped
    def load_config(self) -> None:
        chosen: dict[str, Any] = {
            "bind": "127.0.0.1:0",
            "workers": 1,
            "worker_class": "gthread",
            "threads": 64,
            "backlog": 4096,
            "worker_connections": 4096,
            "keepalive": 600,
            "loglevel": "error",
            "when_ready": lambda server: print(  # noqa: T201  # the bench reads it
                server.LISTENERS[0].sock.getsockname()[1], flush=True
            ),
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return app


if __name__ == "__main__":
    Server().run()

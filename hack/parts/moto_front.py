"""moto's server, with a front for the one protocol that it does not speak.

The Rust SDK speaks only rpc-v2-cbor to CloudWatch, and moto speaks the query and JSON protocols. This front turns such a
request into the JSON one and the answer back into CBOR, by the shapes of the API model that botocore carries.
Everything else passes through untouched. Run as `python moto_front.py PORT`; it listens on loopback only.
"""

import io
import json
import signal
import sys
from datetime import datetime, timezone

import botocore.session
import cbor2
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import run_simple

PREFIX = "/service/GraniteServiceVersion20100801/operation/"
MODEL = botocore.session.get_session().get_service_model("cloudwatch")


class CborFront:
    """A WSGI application in front of another, which sees CloudWatch calls as JSON."""

    def __init__(self, application):
        self.application = application

    def __call__(self, environ, start_response):
        path = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX):
            return self.application(environ, start_response)
        operation = path.removeprefix(PREFIX)
        status, body = self.call_as_json(operation, environ)
        headers = [
            ("Content-Type", "application/cbor"),
            ("Smithy-Protocol", "rpc-v2-cbor"),
            ("Content-Length", str(len(body))),
        ]
        start_response(status, headers)
        return [body]

    def call_as_json(self, operation, environ):
        request = read_body(environ)
        as_json = json.dumps(cbor2.loads(request) if request else {}, default=epoch_seconds).encode()
        environ = {
            **environ,
            "PATH_INFO": "/",
            "CONTENT_TYPE": "application/x-amz-json-1.0",
            "CONTENT_LENGTH": str(len(as_json)),
            "HTTP_X_AMZ_TARGET": f"GraniteServiceVersion20100801.{operation}",
            "wsgi.input": io.BytesIO(as_json),
        }
        for header in ("HTTP_ACCEPT", "HTTP_SMITHY_PROTOCOL", "HTTP_TRANSFER_ENCODING"):
            environ.pop(header, None)
        answered = {}

        def remember(status, headers, exc_info=None):
            answered["status"] = status

        try:
            body = b"".join(self.application(environ, remember))
        except NotImplementedError:
            return not_implemented(operation)
        return as_cbor(operation, answered["status"], body)


def not_implemented(operation):
    """Says so with a status that a client does not take for a passing failure, as it would moto's own 500."""
    fault = {"__type": "com.amazonaws.cloudwatch#NotImplemented", "message": f"moto does not know {operation}"}
    return "400 Bad Request", cbor2.dumps(fault)


def as_cbor(operation, status, body):
    """Returns the status line and the body that an rpc-v2-cbor client expects for moto's JSON answer."""
    try:
        answer = json.loads(body) if body else {}
    except ValueError:
        # moto answers with an HTML page to what it does not know.
        return not_implemented(operation)
    if not status.startswith("200"):
        code = str(answer.get("__type", "InternalFailure")).rpartition("#")[2]
        message = answer.get("message") or answer.get("Message") or ""
        return status, cbor2.dumps({"__type": f"com.amazonaws.cloudwatch#{code}", "message": message})
    return status, cbor2.dumps(with_times(answer, MODEL.operation_model(operation).output_shape))


def with_times(value, shape):
    """Returns `value` with the numbers that the shape calls timestamps made into CBOR timestamps."""
    if shape is None or value is None:
        return {} if value is None else value
    if shape.type_name == "structure":
        # A member that is absent and one that is null are the same in JSON; CBOR clients want it absent.
        return {
            name: with_times(member, shape.members[name])
            for name, member in value.items()
            if member is not None and name in shape.members
        }
    if shape.type_name == "list":
        return [with_times(member, shape.member) for member in value]
    if shape.type_name == "timestamp":
        return cbor2.CBORTag(1, seconds(value))
    if shape.type_name in ("double", "float"):
        return float(value)
    return value


def seconds(value):
    """Returns epoch seconds of what moto writes for a timestamp: a number, or ISO 8601."""
    if isinstance(value, (int, float)):
        return float(value)
    return datetime.fromisoformat(value).timestamp()


def epoch_seconds(value):
    """Writes what JSON has no type for: CBOR's timestamps."""
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).timestamp()
    raise TypeError(f"no JSON for {type(value)}")


def read_body(environ):
    length = environ.get("CONTENT_LENGTH")
    if length:
        return environ["wsgi.input"].read(int(length))
    return environ["wsgi.input"].read() if environ.get("wsgi.input_terminated") else b""


def main():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    application = CborFront(DomainDispatcherApplication(create_backend_app))
    run_simple("127.0.0.1", int(sys.argv[1]), application, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main()

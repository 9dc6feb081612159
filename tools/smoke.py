"""Smoke test of built distributions with each extra on its own: `python tools/smoke.py dist/*.whl dist/*.tar.gz`.

Each extra gets an empty environment, the distribution, and one short program that needs just that extra. The requests
of the program go to a server of the standard library on loopback, so that the emulator's extra is not needed.
"""

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

#: A model server that streams one OpenAI response, without a framework or an extra.
_SERVER = """
import http.server, json, threading
CHUNKS = [{"choices": [{"index": 0, "delta": {"content": "Paris"}}]},
          {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
BODY = "".join(f"data: {json.dumps(chunk)}\\n\\n" for chunk in CHUNKS).encode() + b"data: [DONE]\\n\\n"
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
URL = f"http://127.0.0.1:{server.server_port}"
"""

_CORE = (
    _SERVER
    + """
from mdstream_core import OCIModelDeployment, OpenAIChat, Service
service = Service(OCIModelDeployment(f"{URL}/ocid1.x"))
payload = {"messages": [{"role": "user", "content": "Where?"}]}
assert "Paris" == service.client.complete(service.call(OpenAIChat(), payload)).text
"""
)

#: A program for each extra that needs no other one.
PROGRAMS = {
    "": _CORE
    + "from mdstream_core.cli import main\nassert 3 == main(['demo'])  # prints the command that installs the extra\n",
    "langchain": _SERVER
    + "from langchain_mdstream import ChatOCIModelDeployment\n"
    + "chat = ChatOCIModelDeployment(endpoint=f'{URL}/ocid1.x', auth_type='none')\n"
    + "assert 'Paris' == ''.join(chunk.text for chunk in chat.stream('Where?'))\n",
    "llamaindex": _SERVER
    + "from llamaindex_mdstream import OCIDataScience\n"
    + "llm = OCIDataScience(endpoint=f'{URL}/ocid1.x', auth_type='none')\n"
    + "assert 'Paris' == ''.join(response.delta for response in llm.stream_complete('Where?'))\n",
    "oci-lite": _CORE + "from mdstream_core.auth import oci\n",
    "aws": _CORE
    + "from mdstream_core.auth import aws\n"
    + "keys = {'aws_access_key_id': 'A', 'aws_secret_access_key': 'B'}\n"
    + "assert aws.resolve_connection(region_name='us-east-1', **keys).signer\n",
    "httpx2": _CORE + "import httpx2\n",
    "agents": "from langchain_mdstream import OCIGuardrailsMiddleware\n"
    "fields = {'region': 'us-chicago-1', 'compartment_id': 'ocid1.compartment.oc1..a'}\n"
    "assert OCIGuardrailsMiddleware(**fields, pii='redact').policy.pii == 'redact'\n",
    "redis": _CORE
    + "from mdstream_core import RateLimit\n"
    + "assert RateLimit(5, store='redis://127.0.0.1:1/0').burst == 5\n",
    "progress": _CORE
    + "from mdstream_core import progress_bar\n"
    + "with progress_bar(2, 'Embedding', enabled=True) as on_progress: on_progress(2)\n",
    "display": _CORE
    + "from mdstream_core.display import show\n"
    + "assert 'Paris' == show(service.client.stream(service.call(OpenAIChat(), payload))).text\n",
    "otel": _CORE + "from mdstream_core.otel import create_telemetry\ncreate_telemetry()\n",
    "emulator": "from mdstream_core.emulator import Emulator\nwith Emulator() as emulator: assert emulator.url\n",
}


def main() -> int:
    """Test each file with each extra; the exit code is 1 if a test fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, help="wheels and sdists")
    parser.add_argument("--extra", action="append", choices=PROGRAMS, help="test only these extras (default: all)")
    options = parser.parse_args()
    failed = [
        f"{file.name} [{extra}]"
        for file in options.files
        for extra in (options.extra or PROGRAMS)
        if not _works(file.resolve(), extra)
    ]
    print("all tests passed" if not failed else f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def _works(file: Path, extra: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        requirement = f"{file}[{extra}]" if extra else str(file)
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", requirement]
        installed = subprocess.run(install, check=False)
        works = installed.returncode == 0 and _run(python, PROGRAMS[extra], folder)
    print(f"{'ok    ' if works else 'FAILED'} {file.name} [{extra}]", flush=True)
    return works


def _run(python: Path, program: str, folder: str) -> bool:
    return subprocess.run([python, "-c", program], cwd=folder, timeout=120, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())

"""Bulk jobs on a Ray cluster of several nodes, one of which is killed, as is the driver.

The images come from a web server of the test, which answers for some of them only when it is told
to: the kills come while the workers wait, and not at some time.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from bulk_jobs import keys, read_rows, write_images
from cspdarknet import Predictor
from cspdarknet.scale import BulkJob, run_on_ray
from support import run_command

cluster_utils = pytest.importorskip("ray.cluster_utils", reason="the Ray engine needs Ray")
pytest.importorskip("aiohttp", reason="web addresses need aiohttp")
ray = pytest.importorskip("ray", reason="the Ray engine needs Ray")

pytestmark = [pytest.mark.one_backend, pytest.mark.slow]

SMALL = 80 * 2**20  # bytes: the least that Ray takes for the objects of a node
QUICK = {"health_check_period_ms": 500, "health_check_failure_threshold": 2}
GUIDE = Path(__file__).parents[2] / "docs/scale.md"
WAIT = 120  # seconds, after which a test fails that nothing lets go on
DRIVER = """
import sys
from cspdarknet.scale import BulkJob, run_on_ray
*arguments, part_size = sys.argv[1:]
list(run_on_ray(BulkJob("classification", *arguments, part_size=int(part_size))))
"""


class Server(ThreadingHTTPServer):
    """A web server of image files that counts requests, and holds those for some files.

    Attributes:
        held: names of the files that are held.
        passes: number of requests for these files that are answered nevertheless.
    """

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.requests, self.held = folder, [], set()
        self.passes = threading.Semaphore(0)
        self.arrived, self.released = threading.Semaphore(0), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path[1:]
        self.server.requests.append(name)
        if name in self.server.held and not self.server.passes.acquire(blocking=False):
            self.server.arrived.release()
            self.server.released.wait(WAIT)
        with contextlib.suppress(ConnectionError):  # of a worker that was killed
            self.send_response(200)
            self.end_headers()
            self.wfile.write((self.server.folder / name).read_bytes())

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    write_images(tmp_path / "images", 12, bad=[5])
    server = Server(tmp_path / "images")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    names = [f"{server.url}/{path.name}" for path in sorted(server.folder.iterdir())]
    (tmp_path / "list.txt").write_text("\n".join(names))
    yield server
    server.released.set()
    server.shutdown()


@pytest.fixture(scope="module")
def cluster():
    """A head without processors, and two nodes of one processor each."""
    head = {"num_cpus": 0, "object_store_memory": SMALL, "include_dashboard": False}
    cluster = cluster_utils.Cluster(
        initialize_head=True, head_node_args={**head, "_system_config": QUICK}
    )
    for _ in range(2):
        cluster.add_node(num_cpus=1, object_store_memory=SMALL)
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_the_guide(cluster, tmp_path, monkeypatch):
    """The first command of docs/scale.md, twice, and its Python."""
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    for i, content in enumerate((None, b"no image")):
        path = Path(f"images/{i}.png")
        path.write_bytes(content) if content else Image.new("RGB", (48, 40), "navy").save(path)
    page = GUIDE.read_text()
    (command,) = re.findall(r"^cspdarknet (predict .*--engine ray)$", page, re.MULTILINE)
    for _ in range(2):
        result = run_command(*command.split())
        assert result.exit_code == 1, result.output
        assert f"Results of 1 of 2 images written to {tmp_path}/classes/results." in result.output
        assert f"1 images; {tmp_path}/classes/errors says why" in result.output
    assert keys(tmp_path / "classes") == ["0.png"]
    (code,) = re.findall(r"^```python\n# needs Ray\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    names = {}
    class_names = Predictor("csp_darknet_tiny_clothing").class_names
    exec(compile(code, "scale.md", "exec"), names)
    assert names["vectors"].to_pylist()[0]["key"] == "0.png"
    rows = {Path(row["path"]).name: row for row in names["classes"]}
    assert rows["0.png"]["class_name"][0] in class_names
    assert "not an image" in rows["1.png"]["error"]


def test_an_error_of_a_worker_is_one_line(cluster, model, tmp_path):
    job = BulkJob("classification", model, write_images(tmp_path / "i", 1), tmp_path / "out")
    job._sha256 = "0"
    with pytest.raises(ValueError, match=r"^All machines must see the same model\.") as caught:
        list(run_on_ray(job))
    assert "\n" not in str(caught.value)


def test_a_killed_driver_then_a_killed_node(cluster, server, model, tmp_path):
    """Both happen while each of the two workers is within a part."""
    out = tmp_path / "out"
    arguments, part_size = [model, str(tmp_path / "list.txt"), str(out)], 2
    server.held = {f"{i:03}.png" for i in range(0, 12, 2)}  # one of each part
    server.passes.release(2)  # two parts, whichever come first
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, *arguments, str(part_size)],
        env={**os.environ, "RAY_ADDRESS": cluster.address},
    )
    wait_for_workers(server, 2)
    process.send_signal(signal.SIGKILL)
    process.wait(WAIT)
    done = {int(name[5:11]) for name in read_rows(out)}
    assert len(done) == 2
    left = sorted(set(range(6)) - done)
    server.requests.clear()

    job = BulkJob("classification", *arguments, part_size=part_size)
    with ThreadPoolExecutor(1) as pool:
        results = pool.submit(lambda: list(run_on_ray(job)))
        wait_for_workers(server, 2)
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        server.released.set()
        assert sorted(part.part for part in results.result(WAIT)) == left
    assert {f"{i:03}.png" for part in left for i in (2 * part, 2 * part + 1)} == set(
        server.requests
    )
    names = [key.rsplit("/", 1)[-1] for key in keys(out) + keys(out, "errors")]
    assert sorted(names) == [f"{i:03}.png" for i in range(12)]
    assert [key[-7:] for key in keys(out, "errors")] == ["005.png"]


def wait_for_workers(server, count):
    for _ in range(count):
        assert server.arrived.acquire(timeout=WAIT)


def test_an_address_without_a_cluster(monkeypatch, model, tmp_path):
    job = BulkJob("classification", model, write_images(tmp_path / "i", 1), tmp_path / "out")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(ValueError, match="`RAY_ADDRESS` must be the address of a running"):
        list(run_on_ray(job))


def test_the_files_for_clusters_are_valid_and_name_real_options():
    yaml = pytest.importorskip("yaml", reason="YAML files need PyYAML")
    folder = GUIDE.parents[1] / "examples/cluster"
    cluster = yaml.safe_load((folder / "ray_cluster.yaml").read_text())
    util = pytest.importorskip("ray.autoscaler._private.util")
    util.validate_config(util.prepare_config(cluster))
    job = yaml.safe_load((folder / "ray_job.yaml").read_text())["spec"]
    comment = (folder / "ray_cluster.yaml").read_text().replace("\n#", "")
    (command,) = re.findall(r'"(cspdarknet [^"]*)"', comment)
    for text in (job["entrypoint"], command):
        _, name, *arguments = text.split()
        options = [argument for argument in arguments if argument.startswith("--")]
        help_text = run_command(name, "--help").output
        assert "--engine" in options
        assert all(option in help_text for option in options)

"""The table of what listens where in cluster/README.md says the defaults of the code and the files."""

import inspect
import re
from pathlib import Path

import yaml

from xlret.serve.local_server import serve_local
from xlret.serve.settings import ServeSettings

CLUSTER = Path(__file__).resolve().parents[2] / "cluster"


def rows() -> dict[str, tuple[str, str]]:
    """(port, address) of each row."""
    text = (CLUSTER / "README.md").read_text(encoding="utf-8").split("## What listens where")[1]
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line.startswith("| ")]
    return {row[0]: (row[1], row[2]) for row in cells[1:] if len(row) == 4}


def test_the_service_listens_where_the_table_says() -> None:
    table, settings = rows(), ServeSettings()
    assert table["`xlret serve`: endpoint and page"] == (str(settings.port), settings.host)
    assert table["`xlret serve`: Ray's own processes, metrics"][1] == f"{settings.ray_host} (`ray_host`)"
    assert settings.ray_host == "127.0.0.1"
    notebook = inspect.signature(serve_local).parameters
    assert notebook["port"].default == 0
    assert table["`serve_local` in a notebook"] == ("a free one", notebook["host"].default)
    deployed = yaml.safe_load((CLUSTER / "serve.yaml").read_text(encoding="utf-8"))["http_options"]
    assert table["`serve.yaml`: endpoint"] == (str(deployed["port"]), deployed["host"])


def test_a_head_of_ones_own_and_those_of_clouds_keep_their_dashboards_to_themselves() -> None:
    assert "127.0.0.1" in rows()["`local/up.sh`: dashboard, jobs, control store, metrics, workers"][1]
    up = (CLUSTER / "local" / "up.sh").read_text(encoding="utf-8")
    assert "--node-ip-address=127.0.0.1" in up
    assert "--dashboard-host=127.0.0.1" in up
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0" in up
    for name in ("aws", "gcp"):
        text = (CLUSTER / f"{name}.yaml").read_text(encoding="utf-8")
        assert set(re.findall(r"--dashboard-host=(\S+)", text)) == {"127.0.0.1"}
        ports = set(re.findall(r"port=(\d+)", text))
        [said] = [port for row, (port, _) in rows().items() if row.startswith("`aws.yaml`, `gcp.yaml`: control store")]
        assert set(re.findall(r"\d{4}", said)) == ports


def test_every_cluster_asks_for_a_token() -> None:
    for path in ("docker/Dockerfile", "local/up.sh"):
        assert "RAY_AUTH_MODE=token" in (CLUSTER / path).read_text(encoding="utf-8")
    for path in sorted((CLUSTER / "kuberay").glob("*.yaml")):
        assert re.search(r"authOptions:\n +mode: token", path.read_text(encoding="utf-8")), path

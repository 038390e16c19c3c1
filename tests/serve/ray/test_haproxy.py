"""HAProxy's configuration as Ray writes it, made fit for clients; checked by HAProxy itself."""

import re
import subprocess
from pathlib import Path

import pytest
from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
from ray.serve.config import HTTPOptions

from xlret.serve.ray.haproxy import hardened, install, write_errors
from xlret.serve.settings import ConnectionSettings


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration that Ray 2.60 writes for one application with one replica."""
    directory = tmp_path_factory.mktemp("haproxy")
    config = HAProxyConfig(
        http_options=HTTPOptions(host="127.0.0.1", port=8123),
        socket_path=str(directory / "admin.sock"),
        server_state_base=str(directory),
        server_state_file=str(directory / "state"),
        metrics_socket_path=str(directory / "metrics.sock"),
    )
    api = HAProxyApi(cfg=config, config_file_path=str(directory / "haproxy.cfg"))
    backend = BackendConfig(
        name="http-xlret", path_prefix="/", app_name="xlret", servers=[ServerConfig(name="one", host="127.0.0.1", port=30000)]
    )
    backend.fallback_server = ServerConfig(name="SERVE_PROXY_ACTOR-fallback-ab12", host="127.0.0.1", port=30001)
    api.set_backend_configs({"http-xlret": backend})
    api._generate_config_file_internal()
    return directory / "haproxy.cfg"


def test_everything_that_should_change_is_found_in_what_ray_writes(written: Path, tmp_path: Path) -> None:
    before = written.read_text()
    after = hardened(before, tmp_path, ConnectionSettings(request_s=2.5, idle_s=4, per_source=77))
    assert "timeout http-request 2500ms" in after
    assert re.findall(r"timeout http-keep-alive (\S+)", after) == ["4000ms"]
    assert "reject if { sc0_conn_cur gt 77 }" in after
    assert "stick-table" not in hardened(before, tmp_path, ConnectionSettings(per_source=0))
    assert f"http-request return status 503 errorfile {tmp_path}/503.http" in after  # where no route is known
    assert {path.rpartition("/")[0] for path in re.findall(r"errorfile (?:\d+ )?(\S+)", after)} == {str(tmp_path)}
    assert "http-request set-header x-request-id" in after
    assert "check backup" in before
    assert "check backup" not in after
    assert len(re.findall(r"^ +server \S+ \S+ check", after, re.MULTILINE)) == 1
    assert "status 404" in before
    assert "status 404" not in after
    assert re.search(r"frontend prometheus\n\s+bind 127\.0\.0\.1:", after)
    assert re.search(r"listen stats\n\s+bind 127\.0\.0\.1:", after)
    assert not re.search(r"bind (\*|):", after)
    assert "mode 600 level admin" in after
    settings = ConnectionSettings(request_s=2.5, idle_s=4, per_source=77)
    assert hardened(after, tmp_path, settings) == after  # once more changes nothing


def test_the_program_checks_out_with_haproxy_and_leaves_it_hardened(written: Path, tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text(written.read_text())
    program = install(tmp_path)
    checked = subprocess.run([program, "-c", "-f", config], capture_output=True, text=True, check=False, cwd="/", timeout=60)
    assert checked.returncode == 0, checked.stderr
    assert "valid" in checked.stdout + checked.stderr
    assert config.read_text() == hardened(written.read_text(), tmp_path, ConnectionSettings())


def test_its_own_answers_are_whole_http_with_json(tmp_path: Path) -> None:
    write_errors(tmp_path)
    for status, said in ((400, 400), (408, 408), (500, 503), (502, 503), (503, 503), (504, 503)):
        head, _, body = (tmp_path / f"{status}.http").read_bytes().partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {said} ".encode())
        assert f"content-length: {len(body)}".encode() in head
        assert b'"error"' in body
        assert (b"retry-after: 1" in head) == (said == 503)

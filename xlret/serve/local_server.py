"""The service in this process, for a notebook: the same endpoint and web page, without Ray."""

import asyncio
import socket
import threading
from concurrent.futures import Future
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import uvicorn

from xlret.errors import UserError
from xlret.files import expand_path
from xlret.release.alias import resolve
from xlret.release.index import check_same_encoder
from xlret.search.vectors.fingerprint import encoder_files
from xlret.serve.engine.backends import Control
from xlret.serve.engine.gateway import Gateway
from xlret.serve.engine.local import LocalControl, LocalEncoder, LocalReranker, LocalShards, local_gateway
from xlret.serve.http.access import Keys
from xlret.serve.http.app import build_app
from xlret.serve.settings import LogSettings, ServeSettings

if TYPE_CHECKING:  # torch and FAISS come in when they are used
    from xlret.model.encoder import Encoder
    from xlret.search.index import SearchIndex
    from xlret.search.text_index import TextIndex

_STOP_S = 10.0
"""How much longer than `deadline.drain_s` stopping may take."""


class LocalServer:
    """A gateway behind HTTP in a thread of this process; ends with `stop` or with a `with` block.

    Args:
        gateway: answers; it belongs to the thread from here on.
        release: what it is to serve, as `Gateway.swap` takes it.
        host, port: where to listen; port 0 takes a free one.
        keys: who may call; by default from XLRET_API_KEYS and XLRET_ADMIN_KEY.
        control: swaps releases for the admin endpoints.

    Raises:
        UserError: nothing can listen there, or the release cannot be used.
    """

    def __init__(
        self,
        gateway: Gateway,
        release: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        keys: Keys | None = None,
        control: Control | None = None,
    ) -> None:
        self._gateway, self._release = gateway, release
        app = build_app(gateway, control=control, keys=keys)
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listening = socket.create_server((host, port), family=family)
        except (OSError, OverflowError) as error:
            raise UserError(f"cannot listen on {host}:{port}: {error}; choose another port (0: a free one) or host") from error
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._listening.getsockname()[1]}"
        """Where the endpoint and its web page are, without a slash at the end."""
        drain_s = gateway.settings.deadline.drain_s
        config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=max(1, round(drain_s)))
        self._server = uvicorn.Server(config)
        self._started: Future[asyncio.AbstractEventLoop] = Future()
        self._asked_to_stop = asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="xlret-server", daemon=True)
        self._thread.start()
        try:
            self._loop = self._started.result()
        except BaseException:
            self._listening.close()
            raise

    async def _serve(self) -> None:
        try:
            await self._gateway.swap(self._release)
            serving = asyncio.ensure_future(self._server.serve([self._listening]))
            while not self._server.started:
                if serving.done():
                    raise RuntimeError("the server ended before it had started") from serving.exception()
                await asyncio.sleep(0.005)
        except BaseException as error:
            self._started.set_exception(error)
            return
        self._started.set_result(asyncio.get_running_loop())
        await self._asked_to_stop.wait()
        await self._gateway.drain()
        self._server.should_exit = True
        await serving

    def stop(self) -> None:
        """Refuses new requests, answers those in work, then closes the port. Does nothing the second time.

        Raises:
            TimeoutError: a request does not end within `deadline.drain_s`.
        """
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._asked_to_stop.set)
            self._thread.join(2 * self._gateway.settings.deadline.drain_s + _STOP_S)
            if self._thread.is_alive():
                raise TimeoutError(f"the server at {self.url} does not stop")
        self._listening.close()

    def __enter__(self) -> "LocalServer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"LocalServer({self.url}{'' if self._thread.is_alive() else ', stopped'})"


def serve_local(
    source: "str | Path | SearchIndex | TextIndex",
    encoder: "str | Path | Encoder | None" = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    settings: ServeSettings | None = None,
    keys: Keys | None = None,
) -> LocalServer:
    """Serves a release or an index from this process, without Ray: `serve_local("runs/releases").url` is its web page.

    Args:
        source: a release, a directory of releases (its alias `current` is served), an index directory, or an opened index.
            One that `Index.build` or `Index.open` gave brings its encoder.
        encoder: what the passages of the index were encoded with, loaded or its directory; a release has its own.
        host, port: where to listen; port 0 takes a free one.
        settings: limits, deadlines and batching; its `release`, `host`, `port` and the settings of Ray do not count.
        keys: who may call; by default from XLRET_API_KEYS and XLRET_ADMIN_KEY.

    Returns:
        The running server: `url`, `stop()`, and a context manager.

    Raises:
        UserError: nothing can be served from there, the encoder is missing or is another one than the index was made with,
            or nothing can listen there.
    """
    if settings is None:
        settings = ServeSettings(detect=find_spec("py3langid") is not None, log=LogSettings(stderr=False))
    if not isinstance(source, str | Path):
        from xlret.search.text_index import TextIndex

        if isinstance(source, TextIndex):
            encoder, source = encoder or source.encoder, source.index
    if encoder is None:
        if not isinstance(source, str | Path):
            raise UserError("an index alone cannot be served; give the encoder that its passages were encoded with")
        release = resolve(expand_path(Path(source)))
        gateway = local_gateway(settings)
        control = LocalControl(gateway, release.parent)
        return LocalServer(gateway, release, host=host, port=port, keys=keys, control=control)
    index = _opened(source)
    gateway = index_gateway(index, _loaded(encoder, index), settings)
    return LocalServer(gateway, index.path, host=host, port=port, keys=keys)


def index_gateway(index: "SearchIndex", encoder: "Encoder", settings: ServeSettings) -> Gateway:
    """A gateway over an index and its encoder that are in memory already."""
    from xlret.serve.engine.info import index_info

    info = index_info(index.path.name.lower(), index.path, index.manifest, encoder.tokeniser)
    shards = LocalShards(settings, read=lambda path: {shard.number: shard for shard in index.shards})
    reranker = LocalReranker(settings, read=lambda path: None)
    return Gateway(LocalEncoder(settings, read=lambda path: encoder), [shards], reranker, settings, read=lambda path: info)


def _opened(source: "str | Path | SearchIndex") -> "SearchIndex":
    from xlret.search.index import SearchIndex

    return SearchIndex.open(expand_path(Path(source))) if isinstance(source, str | Path) else source


def _loaded(encoder: "str | Path | Encoder", index: "SearchIndex") -> "Encoder":
    if not isinstance(encoder, str | Path):
        from xlret.search.same_encoder import check_encodes_alike

        check_encodes_alike(index, encoder)
        return encoder
    from xlret.model.encoder import Encoder

    directory = expand_path(Path(encoder))
    check_same_encoder(index.manifest, directory, encoder_files(directory), index.path)
    return Encoder.load(directory)

"""The settings of serving: a release, limits of requests, deadlines, batching, and the shape of the Ray application."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from xlret.config import PathSetting, Settings


class LimitSettings(Settings):
    """What one request may ask for. More is refused with 413 (bytes) or 422 (everything else).

    The defaults of the counts are what the OpenAPI description says; settings may lower them, not raise them.
    """

    body_bytes: int = Field(8 * 2**20, ge=1024)
    """Bytes of one body."""
    body_s: float = Field(10.0, gt=0)
    """A body that is not complete by then is cut off with 408."""
    queries: int = Field(64, ge=1, le=64)
    """Queries of one /v1/search request."""
    query_chars: int = Field(4096, ge=1, le=4096)
    """Characters of one query."""
    top_k: int = Field(1000, ge=1, le=1000)
    """Hits of one query."""
    hits: int = Field(10_000, ge=1)
    """Queries times top_k."""
    candidates: int = Field(200_000, ge=1)
    """The same times the searches of a query, one for each language where hits are balanced."""
    pairs: int = Field(1024, ge=1)
    """Queries times the hits of each that a search has reranked."""
    inputs: int = Field(2048, ge=1, le=2048)
    """Texts of one /v1/embeddings request. They go through the encoder in parts, between those of other requests."""
    input_chars: int = Field(32_768, ge=1, le=32_768)
    """Characters of one text to embed or to rerank."""
    documents: int = Field(256, ge=1, le=256)
    """Documents of one request to rerank."""
    timeout_ms: int = Field(30_000, ge=1, le=30_000)
    """The longest `timeout_ms` a request may ask for."""


class LoadSettings(Settings):
    """How much one ingress takes on at a time. What comes on top is answered 429 with Retry-After at once."""

    requests: int = Field(96, ge=1)
    """Requests in work."""
    texts: int = Field(512, ge=1)
    """Queries and texts in work, over all requests. A single larger request passes when nothing else is in work."""
    reading: int = Field(256, ge=1)
    """Requests whose body is being read."""
    held_bytes: int = Field(64 * 2**20, ge=1024)
    """Bytes of all bodies together, from their first byte to their answer."""
    source_share: float = Field(0.75, gt=0, le=1)
    """One client's address may have at most this share of what is free or its own already, of each of the numbers above but
    `texts`: however much it sends, the others get in. 1: no such limit, as behind a proxy that hides addresses."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks (`10.0.0.0/8`) of proxies that are believed when they name their client in X-Forwarded-For.
    This machine itself, where HAProxy runs, always is."""
    highlight_below: int = Field(8, ge=0)
    """Highlights are left out (null) while this many other requests are in work: they cost more than the search."""


class ConnectionSettings(Settings):
    """Connections of clients to HAProxy, before anything of a request is known. Needs `front: haproxy`."""

    total: int = Field(8192, ge=16)
    """All together; more have to wait. Fewer where a process may not have two and a half times as many open files."""
    per_source: int = Field(256, ge=0)
    """From one address; more are closed at once. 0: no such limit, as behind a proxy, which has one address for everybody."""
    request_s: float = Field(10.0, gt=0)
    """How long a client may take to send a request's headers, and its body as far as it fits into 64 KB; then it is answered
    408. (A larger body has `limits.body_s` in all.)"""
    idle_s: float = Field(15.0, gt=0)
    """How long a connection may be kept open between two requests."""


class BatchSettings(Settings):
    """Batching before the fan-out. An idle backend gets its batch at once, without waiting."""

    queries: int = Field(32, ge=1, le=512)
    """Texts or queries in one call to a backend."""
    wait_ms: float = Field(2.0, ge=0)
    """How long a batch waits for more while another is in work."""
    calls: int = Field(4, ge=1)
    """Calls in flight to one group of shards; further batches wait, and grow meanwhile."""
    encoder_calls: int = Field(2, ge=1)
    """Calls in flight to the encoder for queries; not fewer than its replicas."""
    passages: int = Field(8, ge=1, le=512)
    """Passages in one call to the encoder, one call at a time: long texts must not keep questions waiting. Of short ones there
    are more, as many tokens together as so many of the longest."""
    cache_bytes: int = Field(64 * 2**20, ge=0)
    """Vectors of recent texts kept (queries, inputs, highlighted sentences), in bytes; 0 keeps none."""


class DeadlineSettings(Settings):
    """Time limits of one search."""

    timeout_ms: int = Field(2000, ge=1)
    """Of a request that names none."""
    retry_after: float = Field(0.4, gt=0, le=1)
    """Share of the time left after which a shard group that has not answered is asked a second time (hedged)."""
    hedges: float = Field(0.1, ge=0, le=1)
    """At most this share of calls is asked twice because of slowness. A call that failed is always tried once more."""
    down_s: float = Field(1.0, ge=0)
    """How long a group that failed three times in a row is left alone; its shards count as failed meanwhile."""
    highlight_ms: int = Field(400, ge=0)
    """The most that looking for the nearest sentences may add; they are left out if it takes longer."""
    load_s: float = Field(600.0, gt=0)
    """To load a release."""
    drain_s: float = Field(20.0, gt=0)
    """How long the old release is kept for its last requests after a swap, and the server at shutdown. Whatever does not end
    within 10 s after that is ended: with the default 30 s, which is what systems give a program before they kill it."""


class LogSettings(Settings):
    """The log of requests: a line of JSON for each. Keys are never in it."""

    file: PathSetting | None = None
    """Where the lines go; several processes may share it. None: to no file."""
    stderr: bool = True
    """Whether they go to standard error too."""
    queries: bool = False
    """Whether a line holds the texts of its questions."""
    file_bytes: int = Field(64 * 2**20, ge=4096)
    """A file that has grown to so many bytes is renamed to FILE.1, that one to FILE.2, and so on."""
    old_files: int = Field(4, ge=0, le=99)
    """How many renamed files are kept."""


class ReplicaSettings(Settings):
    """Replicas of one Ray Serve deployment. Unequal `least` and `most` autoscale between them."""

    least: int = Field(1, ge=1)
    """How many there always are."""
    most: int = Field(1, ge=1)
    """How many there may be under load."""
    cpus: float = Field(1.0, ge=0)
    """CPUs that Ray reserves for each."""
    gpus: float = Field(0.0, ge=0)
    """GPUs that Ray reserves for each."""
    resources: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Other resources that Ray reserves for each. With one that some machines alone have (`ray start --resources`), replicas
    run there and nowhere else."""
    ongoing: int = Field(32, ge=1)
    """Calls that one replica works on or holds at a time."""
    target: float = Field(4.0, gt=0)
    """Calls in flight per replica that autoscaling aims at."""

    @property
    def highest(self) -> int:
        """The most that there are at a time."""
        return max(self.least, self.most)


class ServeSettings(Settings):
    """Everything about serving that a recipe can say."""

    release: PathSetting | None = None
    """A release, or a directory of releases (its alias `current` is served)."""
    host: str = "127.0.0.1"
    """Address to listen on; the default is this machine only."""
    port: int = Field(8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    examples: tuple[str, ...] = ()
    """Questions that the web page offers to try."""
    detect: bool = True
    """Detect the language of queries that do not say it (needs the `detect` extra)."""
    log: LogSettings = LogSettings()
    limits: LimitSettings = LimitSettings()
    connections: ConnectionSettings = ConnectionSettings()
    load: LoadSettings = LoadSettings()
    batch: BatchSettings = BatchSettings()
    deadline: DeadlineSettings = DeadlineSettings()

    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the encoder and the reranker."""
    tokens_per_batch: int = Field(2048, ge=16)
    """Padded tokens that go through the encoder or the reranker at once."""
    rerank_depth: int = Field(50, ge=1, le=1000)
    """Hits that the reranker orders when a search asks for it."""
    shard_groups: Literal["auto"] | Annotated[int, Field(ge=0)] = "auto"
    """Deployments that the shards are spread over; each has its own replicas. 0: every ingress searches all shards itself,
    which saves a search two ways between processes. auto: 0 where the release served first is small, else 1."""
    shard_threads: int = Field(2, ge=1)
    """Threads of a shard replica."""
    encoder_in: Literal["auto", "ingress", "replicas"] = "auto"
    """Where texts are encoded. ingress: every ingress has the encoder, and reserves its `encoder.cpus` and `gpus` as well,
    which saves a search two ways between processes. replicas: in a deployment of its own. auto: in the ingress where that
    searches all shards too, there is one machine, and `encoder` asks for one replica without a GPU; else apart."""
    encoder_threads: int = Field(1, ge=1)
    """Threads of torch in an encoder or reranker replica."""
    rerank: Literal["auto", "on", "off"] = "auto"
    """Whether there is a reranker deployment; auto: when the release served first has a reranker."""
    front: Literal["haproxy", "ray"] = "haproxy"
    """Who takes connections: HAProxy, or Ray Serve's own proxy, which is some ten times slower but runs everywhere."""
    ray_host: str = "127.0.0.1"
    """Address of this machine that Ray's own processes listen on, the metrics for Prometheus among them. With that of a network
    interface Prometheus can read them from elsewhere, and everybody else who reaches the address."""
    health_s: float = Field(2.0, gt=0)
    """How often Ray Serve asks replicas whether they are well, and proxies twice as often."""
    ingress: ReplicaSettings = ReplicaSettings(cpus=0.5, ongoing=512)
    encoder: ReplicaSettings = ReplicaSettings(cpus=0.5)
    shard: ReplicaSettings = ReplicaSettings(cpus=0.25)
    reranker: ReplicaSettings = ReplicaSettings(cpus=0.25)

    @field_validator("rerank", mode="before")
    @classmethod
    def _as_yaml_reads_it(cls, value: object) -> object:
        """YAML takes on and off for true and false."""
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value

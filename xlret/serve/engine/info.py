"""What the ingress knows of a release without loading a weight or a vector of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from babel import Locale, UnknownLocaleError

from xlret.errors import CorruptError
from xlret.model.debias.component import LanguageComponent
from xlret.release.verify import CheckBytes, check_bytes, verify_release
from xlret.search.calibration import CALIBRATION, Calibration
from xlret.search.debias import read_component
from xlret.search.manifest import IndexManifest, read_manifest
from xlret.text.languages import primary, written_right_to_left
from xlret.tokens.texts import Tokeniser


@dataclass(frozen=True)
class ReleaseInfo:
    """A release that was found whole."""

    name: str
    path: str
    dimension: int
    tokeniser: Tokeniser
    """Counts tokens, and knows the length limits."""
    version: str
    """Of the index."""
    factory: str
    shards: int
    languages: Mapping[str, int]
    """Language -> passages."""
    fields: Mapping[str, str]
    """Metadata field -> type."""
    certificate: Mapping[str, Any] | None = None
    calibration: Calibration | None = None
    component: LanguageComponent | None = None
    """What the vectors of the index lack of their language, and those of queries have to lose."""
    reranker: bool = False
    quality: Mapping[str, Any] = field(default_factory=dict)
    dimensions: tuple[int, ...] = ()
    """Lengths below `dimension` that vectors may be cut to."""
    created: int = 0
    """When the release was made, in seconds since 1970; 0 where there is none."""

    @property
    def passages(self) -> int:
        """Passages of all languages."""
        return sum(self.languages.values())

    def balances(self) -> list[str]:
        """What `balance` of a search may be."""
        return ["none", "quota", *(["calibrated"] if self.calibration is not None else [])]


def read_info(path: Path, check: CheckBytes = check_bytes) -> ReleaseInfo:
    """Verifies a release and reads what the ingress needs.

    Args:
        path: the release's directory.
        check: as in `verify_release`: a service reads every file once on each machine.

    Raises:
        UserError: there is no release, or it is damaged; names the file.
    """
    release = verify_release(path, check)
    info = index_info(release.name, release.index, read_manifest(release.index), Tokeniser.load(release.encoder))
    return replace(
        info,
        path=str(release.path),
        reranker=release.reranker is not None,
        quality=dict(release.quality),
        created=round(datetime.fromisoformat(release.record.created).timestamp()),
    )


def index_info(name: str, version_dir: Path, manifest: IndexManifest, tokeniser: Tokeniser) -> ReleaseInfo:
    """What is served of an index and its encoder, under a name.

    Raises:
        CorruptError: the index is calibrated for vectors of another length, or carries a language component of such.
    """
    has_calibration = any(file.file == CALIBRATION for file in manifest.files.values())
    calibration = Calibration.load(version_dir / CALIBRATION) if has_calibration else None
    if calibration is not None and calibration.dimension != manifest.dimension:
        raise CorruptError(f"{version_dir / CALIBRATION} is of another encoder than the index's; make the index again")
    return ReleaseInfo(
        name=name,
        path=str(version_dir),
        dimension=manifest.dimension,
        tokeniser=tokeniser,
        version=manifest.version,
        factory=manifest.factory,
        shards=len(manifest.shards),
        languages={code: count for code, count in manifest.languages.items() if count},
        fields=dict(manifest.fields),
        certificate=manifest.certificate.model_dump(mode="json") if manifest.certificate is not None else None,
        calibration=calibration,
        component=read_component(version_dir, manifest),
        dimensions=tokeniser.card.dimensions,
    )


def direction(code: str) -> Literal["ltr", "rtl"]:
    """How a language is usually written.

    >>> direction("ar"), direction("az-Arab"), direction("de")
    ('rtl', 'rtl', 'ltr')
    """
    return "rtl" if written_right_to_left(code) else "ltr"


@lru_cache(maxsize=1024)
def names(code: str) -> tuple[str, str]:
    """A language's name in itself and in English; the code where CLDR has none.

    >>> names("de"), names("pt-BR")
    (('Deutsch', 'German'), ('português (Brasil)', 'Portuguese (Brazil)'))
    """
    try:
        locale = Locale.parse(code, sep="-")
        return locale.get_display_name() or code, locale.get_display_name("en") or code
    except (ValueError, UnknownLocaleError):
        return code, Locale("en").languages.get(primary(code), code)

"""What a release needs to know of its index: made with which encoder, how good its recall is, which files."""

from collections.abc import Mapping
from pathlib import Path

from xlret.errors import CorruptError, UserError
from xlret.release.record import ENCODER, INDEX, IndexPart, ReleaseRecord
from xlret.search.manifest import MANIFEST, IndexManifest
from xlret.search.vectors.fingerprint import same_vectors


def index_part(manifest: IndexManifest) -> IndexPart:
    """What release.json says of an index."""
    return IndexPart(
        version=manifest.version,
        passages=manifest.count,
        shards=len(manifest.shards),
        factory=manifest.factory,
        debias=manifest.settings.get("debias"),
    )


def index_quality(manifest: IndexManifest) -> dict[str, float]:
    """Recall against exact search where a query names no dial, from the index's certificate; empty where nobody measured.

    An index that compares all vectors as they are stored has recall 1, measured or not.
    """
    if manifest.kind == "flat" and manifest.lossless:
        return {"recall@10": 1.0, "recall@100": 1.0}
    dials = manifest.certificate.dials if manifest.certificate is not None else ()
    for dial in dials:
        if dial.value == manifest.default_dial:
            return {"recall@10": dial.recall_10, "recall@100": dial.recall_100}
    return {}


def check_same_encoder(manifest: IndexManifest, encoder: Path, files: Mapping[str, str], where: Path) -> None:
    """Checks that an index was made with an encoder that has these files, or with one that gives its vectors (`xlret export`).

    Args:
        manifest: of the index.
        encoder: directory of the encoder.
        files: of the encoder, name -> SHA-256.
        where: the index, to be named in errors.

    Raises:
        UserError: it was made with another one, or does not say with which.
    """
    known = manifest.encoder.get("sha256")
    if not known:
        raise UserError(f"{where} does not say which encoder its vectors are from; make it with xlret index build")
    if same_vectors(manifest.encoder, encoder, files):
        return
    for name, digest in known.items():
        if files.get(name) != digest:
            raise UserError(
                f"{where} was made with the encoder {manifest.encoder.get('path')}, whose {name} is another than this one's; "
                "make the index again with this encoder"
            )


def check_fits(manifest: IndexManifest, record: ReleaseRecord, index: Path) -> None:
    """Checks that release.json, the index and the encoder beside it belong together.

    With the files found to be as release.json says, they are then also as the index's own manifest says.

    Raises:
        CorruptError: they do not.
    """
    path = index / MANIFEST
    if (index_part(manifest), manifest.languages, manifest.dimension) != (record.index, record.languages, record.dimension):
        raise CorruptError(f"{path} is not of the index that release.json tells of; make the release again")
    files = {name: entry for name, entry in record.files.items() if name.startswith(f"{INDEX}/")}
    for listed in manifest.all_files():
        entry = files.pop(f"{INDEX}/{listed.file}", None)
        if entry is None or (entry.size, entry.sha256) != (listed.size, listed.sha256):
            raise CorruptError(f"{index / listed.file} is not the file that {MANIFEST} tells of; make the release again")
    for name in sorted(set(files) - {f"{INDEX}/{MANIFEST}"}):
        raise CorruptError(f"{index.parent / name} does not belong to the index: {MANIFEST} does not list it")
    start = f"{ENCODER}/"
    encoder = {name.removeprefix(start): entry.sha256 for name, entry in record.files.items() if name.startswith(start)}
    try:
        check_same_encoder(manifest, index.parent / ENCODER, encoder, index)
    except UserError as error:
        raise CorruptError(str(error)) from error

"""Making a release: encoder, index and perhaps a reranker into one directory, with a checksum of every file."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from xlret.artifacts import copy_read_only, link_or_copy
from xlret.data.manifest import file_entries
from xlret.errors import UserError
from xlret.files import directory_beside, local, write_text
from xlret.model.export.record import EXPORT
from xlret.provenance import versions
from xlret.release.content import check_model, check_reranker, files_below
from xlret.release.index import check_same_encoder, index_part, index_quality
from xlret.release.quality import read_quality
from xlret.release.record import CHECKSUM, ENCODER, INDEX, RECORD, RERANKER, ReleaseRecord, checked_name, checksum_line
from xlret.release.verify import check_whole
from xlret.search.debias import FILE as DEBIAS_FILE
from xlret.search.manifest import current_version
from xlret.search.manifest import verify as verify_index
from xlret.search.vectors.fingerprint import encoder_files
from xlret.storage.url import path_of

_PACKAGES = ("xlret", "torch", "transformers", "tokenizers", "faiss-cpu", "pyarrow")


def make_release(
    root: Path,
    name: str,
    encoder: Path,
    index: Path,
    reranker: Path | None = None,
    *,
    evaluations: Sequence[Path] = (),
    link: bool = True,
) -> Path:
    """Puts an encoder, the index that was made with it and perhaps a reranker into `root/name`, and checks the result.

    The directory appears when it is whole. Files of the encoder and the reranker are copied, since what they come from is
    somebody's working directory. Files of an index version are never written to again, so they become hard links where the
    disk allows it: no second copy of what may be many gigabytes.

    Args:
        root: directory of releases.
        name: of the release.
        encoder: directory that `Encoder.save` wrote.
        index: what `xlret index build` made (its current version is taken), or one version of it.
        reranker: directory of a sequence classifier with one logit.
        evaluations: `evaluation.json` files of this encoder, for the quality table.
        link: False copies the index too, for disks on which files are changed in place.

    Returns:
        The release's directory.

    Cost: reads every file three times.

    Raises:
        UserError: a part is missing, the index was made with another encoder, the name is taken or not allowed.
        CorruptError: a part is damaged or holds what no release may hold, such as pickles or code.
    """
    target = path_of(root) / checked_name(name)
    if target.exists():
        raise UserError(f"{target} exists already, and releases do not change; choose another name")
    models = {ENCODER: local(encoder)} | ({RERANKER: local(reranker)} if reranker else {})
    for part, directory in models.items():
        if not directory.is_dir():
            raise UserError(f"there is no {part} {directory}; name a directory that xlret saved")
    check = {ENCODER: check_model, RERANKER: check_reranker}
    parts = {part: check[part](directory) for part, directory in models.items()}
    source = current_version(Path(index))
    manifest = verify_index(source)
    fingerprint = encoder_files(models[ENCODER])
    check_same_encoder(manifest, models[ENCODER], fingerprint, source)
    exported = {EXPORT} & {*fingerprint, *manifest.encoder["sha256"]}
    for added in sorted(set() if exported else set(fingerprint) - set(manifest.encoder["sha256"])):
        raise UserError(
            f"{source} was made with the encoder {manifest.encoder.get('path')}, which had no {added}; make the index again "
            "with this encoder"
        )
    quality = {INDEX: index_quality(manifest)}
    component = manifest.files[DEBIAS_FILE].sha256 if DEBIAS_FILE in manifest.files else None
    for evaluation in evaluations:
        benchmark, numbers = read_quality(Path(evaluation), models[ENCODER], fingerprint, component)
        quality[benchmark] = numbers
    with directory_beside(target) as fresh:
        for part, names in parts.items():
            for file in names:
                (fresh / part / file).parent.mkdir(parents=True, exist_ok=True)
                copy_read_only(models[part] / file, fresh / part / file)
        (fresh / INDEX).mkdir()
        for file in files_below(source):  # the version was verified, so it has no directories
            (link_or_copy if link else copy_read_only)(source / file, fresh / INDEX / file)
        record = ReleaseRecord(
            name=name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            dimension=manifest.dimension,
            languages=dict(manifest.languages),
            index=index_part(manifest),
            reranker=reranker is not None,
            quality=quality,
            files=file_entries(fresh, files_below(fresh)),
            made_with=versions(_PACKAGES),
        )
        write_text(fresh / RECORD, record.model_dump_json(indent=1) + "\n")
        (fresh / CHECKSUM).write_bytes(checksum_line(fresh / RECORD))
        check_whole(fresh, record)
    return target

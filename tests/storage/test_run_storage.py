"""What Ray Train is told of a run at a URL, against what it makes of it."""

import pickle

from object_store import SECRET
from ray.train import Checkpoint
from ray.train.v2._internal.execution.context import is_managed_checkpoint
from ray.train.v2._internal.execution.storage import StorageContext

from xlret.storage.url import as_url
from xlret.training.checkpoint import CHECKPOINTS, checkpoint_path
from xlret.training.ray_run import _storage


def test_ray_train_knows_a_checkpoint_at_a_url_as_its_own(store: dict[str, str]) -> None:
    run = as_url("s3://bucket/runs/managed")
    storage_path, filesystem = _storage(run)
    travelled = pickle.dumps(filesystem)
    assert SECRET.encode() not in travelled, "each machine has keys of its own"
    context = StorageContext(storage_path, CHECKPOINTS, storage_filesystem=pickle.loads(travelled))
    assert is_managed_checkpoint(context, Checkpoint(*_storage(checkpoint_path(run, 4))))
    assert not is_managed_checkpoint(context, Checkpoint(*_storage(as_url("s3://bucket/elsewhere/step-000000004"))))

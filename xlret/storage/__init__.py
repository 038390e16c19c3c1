"""Paths that are URLs: `s3://`, `gs://`, `hdfs://`, read through a cache of this machine and written whole or not at all."""

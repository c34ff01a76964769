"""Packed datasets: image files in shards for random access, each with an index of annotations."""

from cspdarknet.data.packs.manifest import MANIFEST, Manifest, ShardEntry, read_manifest
from cspdarknet.data.packs.shard import Shard, read_shard

__all__ = ["MANIFEST", "Manifest", "Shard", "ShardEntry", "read_manifest", "read_shard"]

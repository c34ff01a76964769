"""Packed datasets for tests, and changes of their files that an attacker could make."""

import hashlib
import json

FORMATS = ("array-record", "parquet")


def change_manifest(folder, change):
    """Change the content of the manifest by a function."""
    path = folder / "pack.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def change_index(folder, change, shard=0):
    """Change the content of an index by a function, with the right checksum in the manifest."""

    def note(manifest):
        entry = manifest["shards"][shard]
        path = folder / f"{entry['name']}.json"
        index = json.loads(path.read_text())
        change(index)
        content = json.dumps(index).encode()
        path.write_bytes(content)
        entry["index_bytes"] = len(content)
        entry["index_sha256"] = hashlib.sha256(content).hexdigest()

    change_manifest(folder, note)

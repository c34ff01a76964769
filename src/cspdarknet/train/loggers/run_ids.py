"""The ids of a training's runs in trackers, so that a continued training goes on in them."""

import json
from pathlib import Path

from cspdarknet._files import write_text

RUN_IDS = "loggers.json"


def run_id(folder: Path, tracker: str) -> str | None:
    """Return the id of a run folder's run in a tracker; `None` for a new one."""
    return _read(folder).get(tracker)


def save_run_id(folder: Path, tracker: str, identifier: str) -> None:
    """Keep the id of a run in its run folder."""
    ids = _read(folder) | {tracker: identifier}
    write_text(folder / RUN_IDS, json.dumps(ids, indent=2) + "\n")


def _read(folder: Path) -> dict[str, str]:
    try:
        ids: dict[str, str] = json.loads((folder / RUN_IDS).read_text())
    except FileNotFoundError:
        return {}
    return ids

"""The fuzzer of weight files: damaged and hostile files of every form, loaded in a worker process.

    PYTHONPATH=tests python -m fuzz.weights --cases 100000

prints how the cases ended, and fails if one was neither loaded nor refused with a short error that
names the file. `--only NUMBER` repeats a case and keeps its file.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np

from cspdarknet import conversion
from fuzz import harness
from fuzz.mutations import pick
from fuzz.weight_mutations import mutate
from fuzz.weight_seeds import models, seeds

MODULE, GOOD = "weight_use", ("loaded", "refused")
BUILT = 0.1  # fraction of the cases that build a model, which takes longer than all the rest


def write_models(folder):
    """Write the presets of the models that the worker loads files into, and return the seeds."""
    all_models = models()
    for name, model in all_models.items():
        conversion.save(model, folder / name)
    return seeds(all_models)


def make_case(number, random_seed, all_seeds, folder):
    """Write the file of a case, which depends on its number and the random seed only.

    Returns:
        The kind of file, the description, the path, and the worker's options.
    """
    rng = np.random.default_rng((random_seed, number))
    seed = all_seeds[number % len(all_seeds)]
    files = dict(seed.files)
    name = pick(rng, [name for name in files if name != "metadata.json"])
    files[name], done = mutate(name, files[name], rng)
    for file_name, content in files.items():
        (folder / file_name).write_bytes(content)
    is_preset = seed.name.endswith(".preset")
    builds = is_preset or rng.random() < BUILT
    options = {"call": "load_model"} if builds else {"call": "load", "model": seed.model}
    path = folder if is_preset else folder / seed.name
    return seed.name, f"{name}: {done}", path, options


def cases(numbers, random_seed, all_seeds):
    """Yield all cases, each with a folder of its own."""
    for number in numbers:
        place = Path(tempfile.mkdtemp(prefix="fuzz-"))
        folder = place / "case"
        folder.mkdir()
        try:
            yield (number, *make_case(number, random_seed, all_seeds, folder))
        finally:
            shutil.rmtree(place, ignore_errors=True)


def run(numbers, random_seed=0):
    """Run cases, and return their `harness.Summary`."""
    with tempfile.TemporaryDirectory() as name:
        all_seeds = write_models(Path(name))
        return harness.run(cases(numbers, random_seed, all_seeds), MODULE, name, GOOD)


def write(number, random_seed):
    """Write the file of a case, and return what it is."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-case-"))
    return make_case(number, random_seed, seeds(models()), folder)


if __name__ == "__main__":
    harness.main(__doc__, run, write)

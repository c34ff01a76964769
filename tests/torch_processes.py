"""Functions that run in several processes of PyTorch, which train together."""

import os
import signal
import traceback
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from cspdarknet.train.distributed.launch import WORKER, worker_variables
from forked import TIMEOUT, fork_context


def run_in_processes(processes, function, *args):
    """Call `function(*args)` in new processes; return the results, or their errors as texts."""
    from torch.distributed import TCPStore

    context = fork_context()
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    connections, children = [], []
    for index in range(processes):
        variables = worker_variables(index, processes, store.port)
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_call, args=(variables, sender, function, *args))
        child.start()
        sender.close()
        connections.append(receiver)
        children.append(child)
    try:
        return [_result(connection) for connection in connections]
    finally:
        for child in children:
            child.kill()
            child.join()


def _call(variables, sender, function, *args):
    os.environ.update(variables, GLOO_SOCKET_IFNAME="lo")
    del os.environ[WORKER]
    keras.utils.set_random_seed(0)
    try:
        sender.send(function(*args))
    except Exception:
        sender.send(traceback.format_exc())


def _result(connection):
    """What a process returned; `None` if it died."""
    try:
        return connection.recv() if connection.poll(TIMEOUT) else "timeout"
    except EOFError:
        return None


def losses_and_weights(task):
    """Train a small model on the parts of this process; return its losses and weights."""
    from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
    from cspdarknet.train import distributed

    with distributed.joined():
        rng = np.random.default_rng(0)
        stages = {"stackwise_channels": [4, 6, 8], "stackwise_depth": [1, 1, 1]}
        backbone = CSPDarkNetBackbone(**stages, include_rescaling=True, dtype="float64")
        if task == "classification":
            classifier = ImageClassifier(backbone, 3, activation=None)
            loss = keras.losses.CategoricalCrossentropy(from_logits=True)
            classifier.compile(_optimizer(), loss, metrics=["accuracy"])
            classes = np.eye(3, dtype="float32")[rng.integers(0, 3, 8)]
            return _train(classifier, rng, 32, classes)
        detector = YOLOXDetector(backbone, 2)
        detector.compile(_optimizer(clip_norm=1.0))
        detector.l1_loss = True
        boxes = rng.uniform(0, 30, (8, 3, 4)).astype("float32")
        boxes[..., 2:] += boxes[..., :2] + 4
        # The positives are divided unevenly: the last process has none.
        ids = np.where(np.arange(24).reshape(8, 3) % 8 < 5, 1, -1)
        ids[1::2] = -1
        return _train(detector, rng, 64, {"boxes": boxes, "classes": ids})


def distilled_losses_and_weights(folder):
    """The same of a detector with a teacher, which is a preset in a folder."""
    from cspdarknet.models import CSPDarkNetBackbone
    from cspdarknet.train import Teacher, distributed
    from cspdarknet.train.distillation import DistilledDetector
    from cspdarknet.train.teacher import LoadedTeacher

    with distributed.joined():
        stages = {"stackwise_channels": [4, 6, 8], "stackwise_depth": [1, 1, 1]}
        backbone = CSPDarkNetBackbone(**stages, include_rescaling=True, dtype="float64")
        student = DistilledDetector(backbone, 2)
        student.compile(_optimizer())
        student.teacher = Teacher(folder, weight=3.0)
        teacher = LoadedTeacher(student.teacher, "detection", ("a", "b"))
        boxes = np.tile(np.array([4, 4, 40, 40], "float32"), (8, 1, 1))
        targets = {"boxes": boxes, "classes": np.arange(8).reshape(8, 1) % 2}
        return _train(student, np.random.default_rng(0), 64, targets, teacher)


def _optimizer(clip_norm=None):
    return keras.optimizers.SGD(0.01, momentum=0.9, global_clipnorm=clip_norm)


def _train(model, rng, size, targets, teacher=None):
    from cspdarknet.train import distributed

    process, processes = distributed.process_index_and_count()
    distributed.share_weights(model)
    losses = []
    for _ in range(3):
        images = rng.uniform(0, 255, (8, size, size, 3)).astype("float32")
        weights = np.array([1, 0, 2, 1, 1, 1, 0.5, 1], "float32")
        part = keras.tree.map_structure(lambda x: x[process::processes], (images, targets, weights))
        if teacher is not None:
            part = (part[0], teacher.targets(part[0], part[1]), part[2])
        logs = model.train_on_batch(*part, return_dict=True)
        losses.append(list(distributed.mean({n: float(v) for n, v in logs.items()}).values()))
        model.reset_metrics()
    return losses, model.get_weights()


def exchanged():
    """What two processes get from each other."""
    import torch

    from cspdarknet.models.torch import parallel
    from cspdarknet.train import distributed

    with distributed.joined():
        index, _ = distributed.process_index_and_count()
        x = torch.tensor([1.0, 2.0], requires_grad=True)
        total = parallel.sum_over_processes(x * (index + 1))
        (total.sum() * (index + 1)).backward()
        keras.utils.set_random_seed(index)
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        distributed.share_weights(model)
        distributed.set_seed(7)
        return {
            "index": index,
            "mean": distributed.mean({"loss": 1.0 + index}),
            "from_first": distributed.from_first_process(lambda: f"process {index}"),
            "sum": total.tolist(),
            "gradient": x.grad.tolist(),
            "divisor": float(parallel.loss_divisor(torch.tensor(3.0 * index))),
            "divisor_of_none": float(parallel.loss_divisor(torch.tensor(0.0))),
            "weights": model.get_weights()[0].tolist(),
            "random": float(torch.rand(())),
        }


def train_with_other_settings(task, data, preset, recipe, out):
    """Train with another learning rate in each process."""
    learning_rate = 0.1 * (1 + int(os.environ["RANK"]))
    return train(task, data, preset, replace(recipe, learning_rate=learning_rate), out)


def train(task, data, preset, recipe, out, killed=None, epoch=2):
    """Train without a report; the process of an index is killed at the end of an epoch."""
    from rich.console import Console

    from cspdarknet.train import distributed, train_classifier, train_detector
    from cspdarknet.train.loop import Training
    from cspdarknet.train.trainer import Trainer

    finish = Training._finish_epoch

    def killed_finish(training, row, phase):
        if row["epoch"] == epoch and distributed.process_index_and_count()[0] == killed:
            os.kill(os.getpid(), signal.SIGKILL)
        finish(training, row, phase)

    Training._finish_epoch = killed_finish
    Trainer._write_report = lambda *_: None
    start = train_detector if task == "detection" else train_classifier
    return start(data, Path(out), preset, recipe, console=Console(quiet=True), workers=1)


def curve(history):
    """The metrics of each epoch as an array, without those that are not of the training."""
    left_out = ("train", "learning_rate", "seconds", "images_per_second")
    names = [name for name in history[0] if name not in left_out]
    return np.array([[float(row[name]) for name in names] for row in history])

"""One GPU: the paper's recipe, its step, evaluation, prediction and memory."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor, nn

import audiobag
from audiobag.data import BagDataModule, BagDataset
from audiobag.data.placement import Placement
from audiobag.data.resident import ResidentBags
from audiobag.loss import ClipBCE
from audiobag.metrics import Tagging
from audiobag.prediction import predict_to_file
from audiobag.sampler import Balanced
from audiobag.training.callbacks import TaggingScore
from audiobag.training.devices import set_matmul_precision
from audiobag.training.module import TaggingModule
from audiobag.training.trainer import TRAINER_DEFAULTS, make_trainer
from audiobag.training.whole_step import WholeStep
from audiobag.utils.files import write_text
from benchmarks.loader import PerSample
from benchmarks.measure import Row, median, spread
from benchmarks.step import CLIPS, DIM, FRAMES, PlainExpectation, matmuls, paper_model
from benchmarks.stores import BALANCED, EVAL, FULL, random_store
from benchmarks.training import untuned_steps

_PREDICTED = 100_000
RECIPE = ("experiment=attention_softmax", "trainer=gpu", "data.placement=device")
CUDA = torch.device("cuda", 0)


def recipe(work: Path) -> Iterator[Row]:
    """Time the paper's whole recipe."""
    schedule = ("schedule=full", "callbacks.checkpoints.every=1000", "trainer.log_every_n_steps=100")
    shutil.rmtree(work / "run", ignore_errors=True)
    torch.cuda.reset_peak_memory_stats()
    before = time.perf_counter()
    run = audiobag.train(*RECIPE, *schedule, data_root=work, out=work / "run")
    took = time.perf_counter() - before
    steps, training = run.metrics["train"]["steps"], run.metrics["train"]["seconds"]
    yield Row("31,000 steps of 500, 11 averaged and the last evaluation", took, "s", goal="under 30 s on an H100")
    yield Row("of which the training loop, a step", 1e3 * training / steps, "ms")
    yield Row("memory of the GPU in it", torch.cuda.max_memory_allocated() / 2**30, "GiB")


def steps(work: Path) -> Iterator[Row]:
    """Time the paper's step against its matrix products and against other ways to run it, by CUDA events."""
    store = random_store(work / "bal_train.h5", BALANCED)
    dataset = BagDataset([store])
    bags = ResidentBags(dataset, Placement("device").together([store], CUDA))
    sampler = Balanced(dataset.labels, CLIPS, 0)
    indices = [torch.from_numpy(sampler.draw(i)).to(CUDA) for i in range(20)]
    for precision, dtype in (("bf16-mixed", torch.bfloat16), ("32-true", torch.float32)):
        set_matmul_precision("gpu", precision)
        mixed = torch.autocast("cuda", dtype) if dtype != torch.float32 else contextlib.nullcontext()
        graph, compiled = (whole_step(bags, compiled) for compiled in (False, True))
        eager, plain = eager_step(bags), _plain(bags)
        candidates: dict[str, Callable[[], object]] = {
            f"audiobag, CUDA graph, {precision}": partial(_rotate, graph, indices),
            f"matrix products alone, CUDA graph, {precision}": _captured(matmuls(dtype, CUDA)),
            f"audiobag, CUDA graph and compile=default, {precision}": partial(_rotate, compiled, indices),
            f"audiobag, single operations, {precision}": partial(_rotate, eager, indices),
            f"the same network in plain torch, {precision}": partial(_rotate, plain, indices),
        }
        with mixed:
            taken = {name: _events(call) for name, call in candidates.items()}
        ours = median(next(iter(taken.values())))
        for i, (name, values) in enumerate(taken.items()):
            goal = "at most 3 x" if "products" in name else ""
            ratio = {"against": "audiobag takes", "ratio": ours / median(values)} if i else {}
            yield Row(name, median(values), "ms", spread(values), goal=goal, **ratio)
        if precision == "bf16-mixed":
            samples = PerSample(store.frames.reshape(BALANCED, FRAMES, DIM), store.labels.dense())
            options = {"accelerator": "gpu", "precision": precision}
            untuned = 1e3 * median(untuned_steps(work, samples, 20, **options))
            name = f"untuned Lightning module, per-sample loader, {precision}"
            yield Row(name, untuned, "ms", 0.0, "audiobag takes", ours / untuned, "at most 0.2 x")


def evaluation(work: Path) -> Iterator[Row]:
    """Time the prediction of the eval set and its exact metrics."""
    data = BagDataModule(work, (), "eval", placement="device")
    score = TaggingScore(Tagging)
    options = {**TRAINER_DEFAULTS, "accelerator": "gpu", "precision": "bf16-mixed", "enable_checkpointing": False}
    data.val_fraction = 0
    module = TaggingModule(paper_model(), ClipBCE(), partial(torch.optim.Adam, lr=1e-3))
    trainer = make_trainer(Trainer, [score], [], options, data)
    taken = []
    for _ in range(4):
        before = time.perf_counter()
        trainer.test(module, data, verbose=False)
        taken.append(time.perf_counter() - before)
    goal = "under 0.5 s"
    yield Row(f"evaluation and metrics of {EVAL:,} clips", median(taken[1:]), "s", spread(taken[1:]), goal=goal)


def prediction(work: Path) -> Iterator[Row]:
    """Time audiobag-predict on a mapped store, with a model of the recipe."""
    store = random_store(work / "new.h5", _PREDICTED, seed=2)
    before = time.perf_counter()
    predict_to_file(work / "run", store.path, work / "predicted.h5", force=True)
    took = time.perf_counter() - before
    yield Row(f"predict, clips a second of {_PREDICTED:,}", _PREDICTED / took, "clips/s", goal="1,000,000 clips/s")
    (work / "predicted.h5").unlink()
    store.path.unlink()


def memory(work: Path) -> Iterator[Row]:
    """Measure the memory that training on two million clips takes of the GPU."""
    random_store(work / "full" / "bal_train.h5", FULL)
    (work / "full" / "eval.h5").unlink(missing_ok=True)
    (work / "full" / "eval.h5").hardlink_to(work / "eval.h5")
    shutil.rmtree(work / "full-run", ignore_errors=True)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    short = ("trainer.max_steps=100", "callbacks.averaging.first=50", "callbacks.averaging.last=100")
    audiobag.train(*RECIPE, *short, "callbacks.averaging.every=50", data_root=work / "full", out=work / "full-run")
    what = f"memory of the GPU, the recipe on {FULL:,} clips"
    yield Row(what, torch.cuda.max_memory_reserved() / 2**30, "GiB", goal="under 6 GiB")
    (work / "full" / "bal_train.h5").unlink()


MEASURES = (steps, recipe, evaluation, prediction, memory)


def run(work: Path) -> list[Row]:
    """Measure; without a GPU there are no rows. Results are written to gpu.json in the folder as they come."""
    if not torch.cuda.is_available():
        return []
    work = work / "gpu"
    random_store(work / "bal_train.h5", BALANCED)
    random_store(work / "eval.h5", EVAL, seed=1)
    rows: list[Row] = []
    record: dict[str, Any] = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "seconds": {}}
    for measure in MEASURES:
        before = time.perf_counter()
        try:
            for row in measure(work):
                rows.append(row)
                _write(work, record, rows)
        except Exception:  # the others can be measured all the same
            record[f"error of {measure.__name__}"] = traceback.format_exc()
            sys.stderr.write(record[f"error of {measure.__name__}"])
        record["seconds"][measure.__name__] = time.perf_counter() - before
        _write(work, record, rows)
    return rows


def _write(work: Path, record: dict[str, Any], rows: list[Row]) -> None:
    write_text(work / "gpu.json", json.dumps({**record, "rows": [row.as_dict() for row in rows]}, indent=1) + "\n")


def whole_step(bags: ResidentBags, compiled: bool = False) -> WholeStep:
    """Return the paper's step, which its first call captures."""
    adam = partial(torch.optim.Adam, lr=1e-3, fused=True)
    module = TaggingModule(paper_model(), ClipBCE(), adam, compile="default" if compiled else None).to(CUDA)
    return WholeStep(module.loss_of, module, bags, adam(module.parameters()), required=True)


def eager_step(bags: ResidentBags) -> Callable[[Tensor], None]:
    """Return the same step, operation by operation."""
    model, criterion = paper_model().to(CUDA), ClipBCE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step(index: Tensor) -> None:
        batch = bags.batch(index)
        mask = batch.mask
        loss = criterion(model(batch.frames, mask), batch.labels, mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _plain(bags: ResidentBags) -> Callable[[Tensor], None]:
    model = PlainExpectation().to(CUDA)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(index: Tensor) -> None:
        batch = bags.batch(index)
        F = model(batch.frames).float().clamp(0, 1)
        with torch.autocast("cuda", enabled=False):
            loss = nn.functional.binary_cross_entropy(F, batch.labels.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _rotate(step: Callable[[Tensor], object], indices: list[Tensor]) -> None:
    for index in indices:
        step(index)


def _captured(work: Callable[[], object]) -> Callable[[], None]:
    """Return 20 replays of some work, as `_rotate` makes 20 steps."""
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()

    def replay() -> None:
        for _ in range(20):
            graph.replay()

    return replay


def _events(work: Callable[[], object], repeats: int = 7) -> list[float]:
    """Return the milliseconds of a step on the GPU: of each call, which makes 20 steps, a twentieth."""
    for _ in range(2):
        work()
    taken = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        end.synchronize()
        taken.append(start.elapsed_time(end) / 20)
    return taken

"""Draw what one clip's prediction is made of: f, p and f p over time, for its likeliest classes.

    python docs/pictures/measure.py RUN/checkpoints/step-00001500.ckpt data/audioset/eval.h5 docs/pictures/measure.png

The clip is the one, among those whose labels were all found (F > 0.5), whose measure is furthest from even.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import audiobag

CLASSES, CANDIDATES = 6, 4000


def draw(checkpoint: Path, store_path: Path, out: Path) -> None:
    """Choose the clip and draw it."""
    tagger, store = audiobag.load(checkpoint), audiobag.open_store(store_path)
    labels = store.labels.dense()
    rows = np.flatnonzero((store.columns.lengths == 10) & (labels.sum(1) >= 2))[:CANDIDATES]
    frames = np.stack([store.frames[store.columns.offsets[i] : store.columns.offsets[i + 1]] for i in rows])
    prediction = tagger.predict(frames)
    F, f, p = (x.numpy() for x in (prediction.clip, prediction.frame, prediction.measure))
    found = np.array([F[i][labels[row]].min() > 0.5 for i, row in enumerate(rows)])
    uneven = np.array([p[i][:, labels[row]].max(0).min() for i, row in enumerate(rows)])
    chosen = int(np.where(found, uneven, -1).argmax())
    top = np.argsort(-F[chosen])[:CLASSES]
    names = [f"{'* ' if labels[rows[chosen], k] else ''}{tagger.class_names[k]}  {F[chosen, k]:.2f}" for k in top]

    panels = {
        "f: is it there?": (f[chosen][:, top].T, 1.0),
        "p: does this second count?": (p[chosen][:, top].T, None),
        "f p: what it adds to F": ((f * p)[chosen][:, top].T, None),
    }
    figure, axes = plt.subplots(1, 3, figsize=(10, 2.7), sharey=True, layout="constrained")
    for axis, (title, (values, high)) in zip(axes, panels.items(), strict=True):
        image = axis.imshow(
            values, aspect="auto", vmin=0, vmax=high, cmap="viridis", extent=(0, 10, CLASSES - 0.5, -0.5)
        )
        axis.set_title(title, fontsize="medium")
        axis.set(xlabel="seconds", xticks=range(0, 11, 2))
        figure.colorbar(image, ax=axis)
    axes[0].set_yticks(range(CLASSES), names)
    figure.savefig(out, dpi=110)
    video = store.columns.video_id[rows[chosen]].decode()
    sys.stdout.write(f"{out}: clip {video}; * marks its labels, the number is F\n")


if __name__ == "__main__":
    draw(*map(Path, sys.argv[1:]))

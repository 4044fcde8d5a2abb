#!/usr/bin/env python3
"""Fits the trees of the combination (scorer/src/engine/combination/trees.txt) on labelled streams.

Streams come from generators that share nothing with each other: generator_a.py to generator_d.py, the evaluation's own (seeds
101 and up, never those of the published tables) and `wardhouse generate`. What is fitted on is what the engine measures:
`cargo run -p wh-scorer --example measure STREAM`.

    make_streams.sh STREAMS            # writes the streams and their labels
    train.py STREAMS MEASURE           # prints the figures on streams that were held out, and with each generator left out
    train.py STREAMS MEASURE --write trees.txt

Needs numpy and scikit-learn. Scores change with the trees: the engine's own state depends on them through quarantine, so
measure and fit twice.
"""
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

STREAMS = {
    "a": ["s1", "s2", "s3", "s5", "s6", "b4"],
    "b": ["s1", "s2", "s3", "s5", "s6", "b4"],
    "c": ["s1", "s2", "s3", "b4"],
    "d": ["s1", "s2", "s3", "b4"],
    "evaluation": ["s1", "s2", "s3", "s5", "s6", "b4"],
    "generate": ["s1", "s2", "s3"],
}
HELD_OUT = {"a": ["s9", "b10"], "b": ["s9", "b10"], "c": ["s9"], "d": ["s9"], "evaluation": ["s9", "b10"]}
WEIGHT = {"generate": 0.5, "c": 1.2, "d": 1.2}
# Rows of a user who has taught fewer are not asked.
LEARNT = 8
# Honest rows that are looked at, each standing for five.
KEPT = 0.2


def load(folder, measure, generator, stream):
    path = folder / generator / f"{stream}.ndjson"
    labels = [json.loads(line) for line in open(folder / generator / f"{stream}.labels.ndjson")]
    raw = np.frombuffer(subprocess.run([measure, path], capture_output=True, check=True).stdout, np.float32)
    raw = raw.reshape(len(labels), -1)
    return raw[:, :-1], raw[:, -1], np.array([label["fraud"] for label in labels]), labels


def sample(data, generators, rng):
    xs, ys, ws = [], [], []
    for generator in generators:
        for stream in STREAMS[generator]:
            x, learnt, y, _ = data[generator, stream]
            kept = (learnt >= LEARNT) & (y | (rng.random(len(y)) < KEPT))
            xs.append(x[kept])
            ys.append(y[kept])
            ws.append(np.where(y[kept], 1.0, 1.0 / KEPT) * WEIGHT.get(generator, 1.0))
    return np.vstack(xs), np.concatenate(ys), np.concatenate(ws)


def fit(data, generators):
    x, y, w = sample(data, generators, np.random.default_rng(0))
    model = HistGradientBoostingClassifier(
        max_iter=260, learning_rate=0.05, max_leaf_nodes=16, min_samples_leaf=40, l2_regularization=10.0, early_stopping=False, random_state=1
    )
    return model.fit(x, y, sample_weight=w)


def tell(model, data, generator, stream, note):
    x, _, y, labels = data[generator, stream]
    odds = model.decision_function(x)
    order = np.argsort(-odds, kind="stable")
    incidents = {label["incident"] for label in labels if label["fraud"]}
    parts = []
    for share in (0.001, 0.002, 0.005, 0.01):
        top = order[: int(len(odds) * share)]
        found = {labels[i]["incident"] for i in top if y[i]}
        parts.append(f"top {share:.1%}: precision {y[top].mean():.2f}, incidents {len(found) / len(incidents):.2f}")
    print(f"{note} {generator}/{stream}: AUC {roc_auc_score(y, odds):.3f} AP {average_precision_score(y, odds):.3f}; {'; '.join(parts)}", flush=True)


def write(model, path):
    """One line a tree, its nodes breadth first: measure:threshold:left:value, or value for a leaf. The right child is behind the left."""
    lines = [repr(round(float(model._baseline_prediction.ravel()[0]), 5))]
    for (predictor,) in model._predictors:
        nodes = predictor.nodes
        values = np.zeros(len(nodes))

        def fill(i):
            node = nodes[i]
            if node["is_leaf"]:
                values[i] = node["value"]
                return
            left, right = node["left"], node["right"]
            fill(left)
            fill(right)
            counts = nodes[left]["count"], nodes[right]["count"]
            values[i] = (values[left] * counts[0] + values[right] * counts[1]) / sum(counts)

        fill(0)
        order, lefts, at = [0], {}, 0
        while at < len(order):
            node = nodes[order[at]]
            if not node["is_leaf"]:
                lefts[order[at]] = len(order)
                order += [int(node["left"]), int(node["right"])]
            at += 1
        line = []
        for i in order:
            node = nodes[i]
            threshold = np.float32(node["num_threshold"])
            line.append(f"{values[i]:.5g}" if node["is_leaf"] else f"{node['feature_idx']}:{threshold:.9g}:{lefts[i]}:{values[i]:.5g}")
        lines.append(" ".join(line))
    Path(path).write_text("\n".join(lines) + "\n")


def main():
    folder, measure = Path(sys.argv[1]), sys.argv[2]
    names = {(g, s) for part in (STREAMS, HELD_OUT) for g, streams in part.items() for s in streams}
    data = {name: load(folder, measure, *name) for name in sorted(names)}
    if "--write" in sys.argv:
        model = fit(data, list(STREAMS))
        write(model, sys.argv[sys.argv.index("--write") + 1])
        for generator, streams in HELD_OUT.items():
            for stream in streams:
                tell(model, data, generator, stream, "held out")
        return
    for left_out, streams in HELD_OUT.items():
        model = fit(data, [g for g in STREAMS if g != left_out])
        for stream in streams:
            tell(model, data, left_out, stream, f"fitted without {left_out},")


if __name__ == "__main__":
    main()

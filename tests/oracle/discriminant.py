"""The linear discriminant of class means and a shared covariance, and the drift of vectors, by scikit-learn and numpy in float64.

Run: python tests/oracle/discriminant.py   (packages: requirements.txt beside this file)
Writes tests/golden/objective/discriminant.safetensors, which the trainer's tests read.
"""

from pathlib import Path

import numpy
from safetensors.numpy import save_file
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

SHRINKAGE, RIDGE = 0.2, 0.3
FILE = Path(__file__).resolve().parent.parent / "golden" / "objective" / "discriminant.safetensors"


def main():
    rng = numpy.random.default_rng(3)
    classes, each, hidden = 5, 12, 8
    means = rng.normal(size=(classes, hidden)) + 3.0
    mixing = rng.normal(size=(hidden, hidden))
    labels = numpy.tile(numpy.arange(classes), each)
    vectors = means[labels] + 0.7 * rng.normal(size=(len(labels), hidden)) @ mixing
    # S + s tr(S)/d I = (1 + s) ((1 - a) S + a tr(S)/d I) with a = s / (1 + s); with as many examples of each class, scikit-learn's
    # covariance is the pooled one.
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE / (1 + SHRINKAGE), priors=[1 / classes] * classes)
    model.fit(vectors, labels)
    weight = model.coef_ / (1 + SHRINKAGE)
    bias = (model.intercept_ + numpy.log(classes)) / (1 + SHRINKAGE)

    # Shares of classes instead of one class: each example several times, with its share.
    shares = rng.dirichlet(numpy.ones(classes), size=len(labels))
    shares[:6] = 0.0
    counts = shares.sum(0)
    soft_means = numpy.stack([numpy.average(vectors, axis=0, weights=shares[:, c]) for c in range(classes)])
    scatter = sum(numpy.cov(vectors.T, aweights=shares[:, c], bias=True) * counts[c] for c in range(classes))

    # Ridge regression as least squares with rows of its own, and the map applied to every vector.
    moved = vectors @ (numpy.eye(hidden) + 0.1 * rng.normal(size=(hidden, hidden))) + rng.normal(size=hidden) \
        + 0.05 * rng.normal(size=vectors.shape)
    centred, target = vectors - vectors.mean(0), (moved - vectors) - (moved - vectors).mean(0)
    held = RIDGE * numpy.trace(centred.T @ centred) / hidden
    slope = numpy.linalg.lstsq(numpy.vstack([centred, numpy.sqrt(held) * numpy.eye(hidden)]),
                               numpy.vstack([target, numpy.zeros((hidden, hidden))]), rcond=None)[0]
    mapped = vectors + (moved - vectors).mean(0) + centred @ slope
    mapped_means = numpy.stack([mapped[labels == c].mean(0) for c in range(classes)])
    apart = mapped - mapped_means[labels]
    save_file({"vectors": vectors, "labels": labels, "weight": weight, "bias": bias, "shares": shares, "counts": counts,
               "soft_means": soft_means, "scatter": scatter, "moved": moved, "mapped_means": mapped_means,
               "mapped_scatter": apart.T @ apart}, FILE)


if __name__ == "__main__":
    main()

"""Reference values for every p-value of the gate and of drift, on 1,000 random tables each, from scipy and statsmodels.

Run: python tests/oracle/p_values.py   (packages: requirements.txt beside this file)

Writes tests/golden/gate/p_values.json, a row for each table.
"""

import itertools
import json
import math
import pathlib
import sys

import numpy as np
import scipy
import sklearn
import statsmodels
from scipy.special import betaincc, betaln
from scipy.stats import binom, binomtest, norm, permutation_test
from sklearn.metrics import f1_score
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint, proportions_ztest

TABLES = 1000
rng = np.random.default_rng(6)


def short(value):
    return float(f"{value:.13g}")


def many(make):
    return [make() for _ in range(TABLES)]


def size():
    return int(np.exp(rng.uniform(0, np.log(3000))))


def mcnemar():
    m = size()
    b = int(rng.binomial(m, rng.uniform(0.3, 0.7)))
    mid = binom.sf(b, m, 0.5) + binom.pmf(b, m, 0.5) / 2
    return [b, m - b, short(mid), short(binomtest(b, m, 0.5, alternative="greater").pvalue)]


def two_proportions():
    n0, n1 = size() + 5, size() + 5
    share = rng.uniform(0.01, 0.6)
    k0, k1 = int(rng.binomial(n0, share)), int(rng.binomial(n1, min(1.0, share * rng.uniform(0.8, 1.6))))
    if k0 + k1 in (0, n0 + n1):
        return two_proportions()
    _, p = proportions_ztest([k1, k0], [n1, n0], alternative="larger")
    return [k0, n0, k1, n1, short(p)]


def flips(differences):
    result = permutation_test((differences, np.zeros_like(differences)), lambda x, y, axis: np.sum(x - y, axis=axis),
                              permutation_type="samples", alternative="less", n_resamples=np.inf)
    return result


def sign_flip():
    # Parts of a power of two: their sums are exact, and so equal sums are equal.
    differences = np.round(64 * rng.normal(rng.uniform(-0.1, 0.05), 0.2, int(rng.integers(2, 11)))) / 64
    return [differences.tolist(), short(flips(differences).pvalue)]


def files():
    """Sums of right minus wrong of whole case files: the exact p and the mid-p."""
    changes = rng.integers(-4, 4, int(rng.integers(2, 11))).astype(float)
    result = flips(changes)
    null = np.asarray(result.null_distribution)
    mid = np.mean(null < changes.sum() - 1e-9) + np.mean(np.abs(null - changes.sum()) < 1e-9) / 2
    return [[int(change) for change in changes], short(mid), short(result.pvalue)]


def e_value():
    m = size()
    b = int(rng.binomial(m, rng.uniform(0.35, 0.65)))
    c = m - b
    upper = betaincc(b + 1, c + 1, 0.5)
    if upper < 1e-280:
        return e_value()
    return [b, c, short((m + 1) * math.log(2) + betaln(b + 1, c + 1) + math.log(upper))]


def holm():
    p = np.round(rng.beta(0.5, 2, int(rng.integers(1, 8))), 5)
    return [p.tolist(), [short(q) for q in multipletests(p, method="holm")[1]]]


def wilson():
    n = size()
    k = int(rng.integers(0, n + 1))
    level = float(rng.choice([0.8, 0.9, 0.95, 0.99]))
    low, high = proportion_confint(k, n, alpha=1 - level, method="wilson")
    return [k, n, level, short(low), short(high)]


def tail():
    z = round(float(rng.uniform(-8, 12)), 4)
    return [z, short(norm.sf(z))]


def macro_f1():
    """All ways to swap both models' answers, item by item."""
    n, labels = 10, 3
    expected = rng.integers(0, labels, n)
    answers = [np.where(rng.random(n) < right, expected, rng.integers(0, labels, n)) for right in (0.8, 0.5)]
    score = lambda said: f1_score(expected, said, average="macro", zero_division=0)
    observed = score(answers[1]) - score(answers[0])
    low = 0
    for swaps in itertools.product([False, True], repeat=n):
        champion, challenger = np.where(swaps, answers[1], answers[0]), np.where(swaps, answers[0], answers[1])
        low += score(challenger) - score(champion) <= observed + 1e-12
    return [expected.tolist(), answers[0].tolist(), answers[1].tolist(), short(observed), low / 2**n]


def mmd():
    dimensions, n, m = 3, int(rng.integers(4, 30)), int(rng.integers(4, 30))
    x = np.round(rng.normal(0, 1, (n, dimensions)), 2)
    y = np.round(rng.normal(rng.uniform(0, 1), 1, (m, dimensions)), 2)
    rows = np.vstack([x, y]).astype(np.float32).astype(float)
    distances = np.sqrt(((rows[:, None] - rows[None]) ** 2).sum(-1))
    width = np.median(distances[np.triu_indices(n + m, 1)])
    kernel = np.exp(-(distances**2) / (2 * width**2))
    np.fill_diagonal(kernel, 0)

    def estimate(order):
        a, b = order[:n], order[n:]
        within = kernel[np.ix_(a, a)].sum() / (n * (n - 1)) + kernel[np.ix_(b, b)].sum() / (m * (m - 1))
        return within - 2 * kernel[np.ix_(a, b)].mean()

    squared = estimate(np.arange(n + m))
    p = np.mean([estimate(rng.permutation(n + m)) >= squared - 1e-12 for _ in range(5000)])
    return [dimensions, x.ravel().tolist(), y.ravel().tolist(), short(squared), short(p)]


golden = {
    "made_with": {module.__name__: module.__version__ for module in (np, scipy, statsmodels, sklearn)},
    "mcnemar": many(mcnemar),
    "two_proportions": many(two_proportions),
    "sign_flip": many(sign_flip),
    "files": many(files),
    "e_value": many(e_value),
    "holm": many(holm),
    "wilson": many(wilson),
    "tail": many(tail),
    "macro_f1": [macro_f1() for _ in range(8)],
    "mmd": [mmd() for _ in range(12)],
}
path = pathlib.Path(__file__).parents[1] / "golden" / "gate" / "p_values.json"
rows = lambda value: "[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in value) + "\n]"
parts = [f'"{key}": {rows(value) if isinstance(value, list) else json.dumps(value)}' for key, value in golden.items()]
path.write_text("{\n" + ",\n".join(parts) + "\n}\n")
print(path, path.stat().st_size, "bytes", file=sys.stderr)

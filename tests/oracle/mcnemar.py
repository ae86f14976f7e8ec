"""Reference numbers for the gate's statistics, from scipy and scikit-learn.

Run: python tests/oracle/mcnemar.py   (packages: requirements.txt beside this file)

Writes tests/golden/gate/mcnemar.json. The p-values come from scipy's binomial distribution. The score interval is
solved from its definition: the two discordant probabilities are fitted numerically by maximum likelihood under the
supposed difference, not by the closed form that the gate uses. Power is exact enumeration.
"""

import json
import pathlib

import numpy as np
import scipy
import sklearn
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import binom, norm
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

PAIRS = [
    (0, 0), (1, 0), (0, 1), (5, 0), (6, 0), (0, 9), (3, 3), (12, 2), (7, 1), (20, 40), (40, 20), (15, 16), (16, 15),
    (50, 50), (80, 40), (130, 100), (250, 250), (600, 500), (1000, 0), (5000, 5000), (50500, 49500), (52000, 48000),
    (48000, 52000), (500000, 500000), (503000, 497000),
]


def p_values(b, c):
    m = b + c
    return {
        "b": b,
        "c": c,
        "mid_p": float(binom.sf(b, m, 0.5) + 0.5 * binom.pmf(b, m, 0.5)),
        "exact_p": float(binom.sf(b - 1, m, 0.5)),
    }


def score(b, c, n, difference):
    """Estimate minus difference, in standard errors of the restricted maximum-likelihood fit."""

    def minus_log_likelihood(only_champion):
        only_challenger = only_champion + difference
        rest = 1 - only_champion - only_challenger
        return -sum(k * np.log(max(p, 1e-300)) for k, p in
                    ((b, only_champion), (c, only_challenger), (n - b - c, rest)) if k)

    low, high = max(0.0, -difference), (1 - difference) / 2
    fit = minimize_scalar(minus_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-13}).x
    # The bounded search never touches its ends, where the optimum lies when a count is 0.
    fit = min((low, fit, high), key=minus_log_likelihood)
    variance = n * (2 * fit + difference * (1 - difference))
    return (c - b - n * difference) / np.sqrt(max(variance, 1e-300))


def interval(b, c, n, level):
    z = norm.ppf(1 - (1 - level) / 2)
    estimate = (c - b) / n
    tiny = 1e-12
    lower = -1.0 if estimate == -1 else brentq(lambda d: score(b, c, n, d) - z, -1 + tiny, estimate - tiny, xtol=1e-14)
    upper = 1.0 if estimate == 1 else brentq(lambda d: score(b, c, n, d) + z, estimate + tiny, 1 - tiny, xtol=1e-14)
    return {"b": b, "c": c, "n": n, "level": level, "lower": lower, "upper": upper}


def power(n, psi, drop, alpha):
    """P(mid-p <= alpha) when an item is only the champion's with (psi + drop)/2, only the challenger's with the rest."""
    total = 0.0
    for m in range(n + 1):
        weight = binom.pmf(m, n, psi)
        if weight < 1e-16:
            continue
        b = np.arange(m + 1)
        rejected = binom.sf(b, m, 0.5) + 0.5 * binom.pmf(b, m, 0.5) <= alpha
        total += weight * binom.pmf(b, m, (psi + drop) / (2 * psi))[rejected].sum()
    return {"n": n, "psi": psi, "drop": drop, "alpha": alpha, "power": float(total)}


def classification():
    rng = np.random.default_rng(7)
    cases = []
    for labels, n in ((2, 40), (5, 200), (28, 150)):
        expected = rng.choice(labels, size=n, p=rng.dirichlet(np.ones(labels)))
        predicted = np.where(rng.random(n) < 0.7, expected, rng.integers(0, labels, n))
        present = sorted(set(expected.tolist()))
        cases.append({
            "labels": labels,
            "expected": expected.tolist(),
            "predicted": predicted.tolist(),
            "accuracy": float(accuracy_score(expected, predicted)),
            "macro_f1": float(f1_score(expected, predicted, average="macro", zero_division=0)),
            "recall": {str(c): float(r) for c, r in
                       zip(present, recall_score(expected, predicted, labels=present, average=None))},
            "confusion": confusion_matrix(expected, predicted, labels=range(labels)).tolist(),
        })
    return cases


golden = {
    "made_with": {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__},
    "p_values": [p_values(b, c) for b, c in PAIRS],
    "intervals": [interval(b, c, n, level)
                  for b, c, n in ((7, 1, 21), (12, 2, 50), (16, 6, 161), (40, 20, 160), (0, 0, 30), (0, 5, 40),
                                  (5, 0, 40), (10, 0, 10), (30, 20, 500), (20, 30, 500), (200, 180, 5000))
                  for level in (0.90, 0.95)],
    "quantiles": [{"p": p, "z": float(norm.ppf(p))}
                  for p in (1e-12, 1e-6, 0.001, 0.0027, 0.05, 0.3, 0.5, 0.9, 0.95, 0.975, 0.99, 0.9999, 1 - 1e-9)],
    "power": [power(500, 0.10, 0.05, 0.01), power(500, 0.06, 0.03, 0.01), power(200, 0.10, 0.05, 0.01),
              power(500, 0.10, 0.0, 0.01), power(1000, 0.20, 0.0, 0.01)],
    "classification": classification(),
}
path = pathlib.Path(__file__).resolve().parents[1] / "golden" / "gate" / "mcnemar.json"
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(json.dumps(golden, indent=1) + "\n")

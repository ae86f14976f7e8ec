"""Reference numbers for paired scores, from scipy: exact sign-flip permutation tests and a bootstrap interval.

Run: python tests/oracle/paired.py   (packages: requirements.txt beside this file)

Writes tests/golden/gate/paired.json.
"""

import json
import pathlib

import numpy as np
import scipy
from scipy.stats import bootstrap, permutation_test

CASES = {
    "halves": [0.5, -0.5, 0.0, -0.5, -1.0, 0.5, -0.5, 0.0, -0.5],
    "clearly better": [0.1, 0.2, 0.05, 0.3, 0.15, 0.2, 0.25, 0.1, 0.4, 0.2],
    "clearly worse": [-0.1, -0.2, -0.05, -0.3, -0.15, -0.2, -0.25, -0.1, -0.4, 0.01],
    "two items": [-0.25, -0.25],
    "no change": [0.0, 0.0, 0.0],
}


def exact_p(differences):
    d = np.array(differences)
    result = permutation_test((d, np.zeros_like(d)), lambda x, y: np.mean(x - y), vectorized=False,
                              permutation_type="samples", alternative="less", n_resamples=np.inf)
    return float(result.pvalue)


large = np.round(np.random.default_rng(7).normal(-0.01, 0.2, 400), 3)
interval = bootstrap((large,), np.mean, n_resamples=200_000, method="percentile",
                     random_state=np.random.default_rng(1)).confidence_interval
sampled = permutation_test((large, np.zeros_like(large)), lambda x, y, axis: np.mean(x - y, axis=axis),
                           permutation_type="samples", alternative="less", n_resamples=200_000,
                           random_state=np.random.default_rng(2))
golden = {
    "made_with": {"scipy": scipy.__version__, "numpy": np.__version__},
    "exact": [{"name": name, "differences": d, "worse_p": exact_p(d)} for name, d in CASES.items()],
    "large": {
        "differences": large.tolist(),
        "worse_p": float(sampled.pvalue),
        "interval": [float(interval.low), float(interval.high)],
    },
}
path = pathlib.Path(__file__).parents[1] / "golden" / "gate" / "paired.json"
path.write_text(json.dumps(golden, indent=1) + "\n")

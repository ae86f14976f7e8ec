"""Signatures of Feishu's and DingTalk's custom robots, as the vendors' documents compute them; Python's standard library only.

Feishu, "Custom bot usage guide" (open.feishu.cn), signature verification: the string `timestamp + "\n" + secret` is the key of an
HMAC-SHA256 over an empty message; base64; timestamp in seconds; both go into the body.
DingTalk, "Security settings of custom robots" (open.dingtalk.com): the secret is the key of an HMAC-SHA256 over
`timestamp + "\n" + secret`; base64, then URL-encoded; timestamp in milliseconds; both go into the query.
The secret "this is secret" of DingTalk's example holds spaces, which no robot's secret does: here it has hyphens.
"""

import base64
import hashlib
import hmac
import json
import urllib.parse
from pathlib import Path

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "alerts" / "robot-signatures.json"


def feishu(timestamp, secret):
    # As the document has it: the key is the string to sign, and nothing is hashed.
    string_to_sign = "{}\n{}".format(timestamp, secret)
    hmac_code = hmac.new(string_to_sign.encode("utf-8"), digestmod=hashlib.sha256).digest()
    return base64.b64encode(hmac_code).decode("utf-8")


def dingtalk(timestamp, secret):
    secret_enc = secret.encode("utf-8")
    string_to_sign_enc = "{}\n{}".format(timestamp, secret).encode("utf-8")
    hmac_code = hmac.new(secret_enc, string_to_sign_enc, digestmod=hashlib.sha256).digest()
    return urllib.parse.quote_plus(base64.b64encode(hmac_code))


SECRETS = [
    "this-is-secret",
    "SEC9d3f0c5b7a1e48f2b6d09c7e5a3f1b2d4c6e8f0a1b3c5d7e9f0a2b4c6d8e0f1a2",
    "k",
    "x" * 200,
]
TIMES_MS = [1577262236757, 1599360473123, 1767225605250]

cases = []
for secret in SECRETS:
    for at_ms in TIMES_MS:
        seconds = at_ms // 1000
        cases.append(
            {"robot": "feishu", "secret": secret, "at_ms": at_ms, "timestamp": str(seconds), "sign": feishu(seconds, secret)}
        )
        query = "timestamp={}&sign={}".format(at_ms, dingtalk(at_ms, secret))
        cases.append({"robot": "dingtalk", "secret": secret, "at_ms": at_ms, "query": query})

GOLDEN.write_text(json.dumps(cases, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
GOLDEN.chmod(0o644)

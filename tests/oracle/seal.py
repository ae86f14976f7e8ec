"""Sealed files as store/FORMAT.md has them, made with libsodium (PyNaCl) and the Python binding of BLAKE3.

    python3 -m venv /tmp/seal && /tmp/seal/bin/pip install -r tests/oracle/requirements-seal.txt
    /tmp/seal/bin/python tests/oracle/seal.py tests/golden/seal
"""

import base64
import hashlib
import json
import struct
import sys
from pathlib import Path

from blake3 import blake3
from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt as encrypt

CHUNK = 64 << 10
MASTER = bytes(range(100, 132))
TEXTS = {
    "empty": b"",
    "text": "患者自述胸痛三天。".encode(),
    # Two chunks: a full one and one of three bytes.
    "border": bytes(i * 7 % 251 for i in range(CHUNK + 3)),
}


def derived(context: str) -> bytes:
    return blake3(MASTER, derive_key_context=context).digest()


def sealed(plain: bytes, context: str, prefix: bytes) -> bytes:
    key = derived("wengu 2026-11 sealed files, key of XChaCha20-Poly1305")
    name = derived("wengu 2026-11 sealed files, name of the key")[:8]
    header = b"WENGUSEA" + struct.pack("<HH", 1, 0) + name + prefix + b"\0"
    assert len(header) == 40
    chunks = [plain[at : at + CHUNK] for at in range(0, len(plain), CHUNK)] or [b""]
    out = header
    for number, chunk in enumerate(chunks):
        last = number == len(chunks) - 1
        nonce = prefix + struct.pack(">IB", number, last)
        out += encrypt(chunk, header + context.encode(), nonce, key)
    return out


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, plain in TEXTS.items():
        prefix = hashlib.sha256(name.encode()).digest()[:19]
        (folder / f"{name}.sealed").write_bytes(sealed(plain, "object", prefix))
        files[name] = {"bytes": len(plain), "sha256": hashlib.sha256(plain).hexdigest()}
    vectors = {
        "key_base64": base64.b64encode(MASTER).decode(),
        "key_hex": MASTER.hex(),
        "key_id": derived("wengu 2026-11 sealed files, name of the key")[:8].hex(),
        "context": "object",
        "files": files,
    }
    (folder / "vectors.json").write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Opens and seals session tokens with Google's Tink.

This script was written from the description of the format only.

usage: cookie.py open SECRET COOKIE_NAME TOKEN           prints the session as JSON
       cookie.py seal SECRET COOKIE_NAME ENTRIES OWNER   prints a token
       cookie.py batch                                   answers each line of input, see `batch`

ENTRIES is a JSON object. OWNER may be empty.
"""

import base64
import functools
import hashlib
import hmac
import json
import os
import sys
import time

import tink
from tink import aead, proto_keyset_format, secret_key_access
from tink.proto import aes_ctr_hmac_aead_pb2, common_pb2, tink_pb2

LABEL = b"tower-sealed-session/v1"
REMEMBERED, OWNER, STORED = 1, 2, 4


class Malformed(Exception):
    """The token is authentic but does not hold a record."""


def check(condition):
    if not condition:
        raise Malformed


def lp(text):
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def derive(secret, role, context, length):
    """HKDF-SHA-256; one block is enough."""
    prk = hmac.digest(LABEL, secret.encode(), hashlib.sha256)
    info = LABEL + b"\0" + role + b"\0" + b"".join(map(lp, context))
    return hmac.digest(prk, info + b"\1", hashlib.sha256)[:length]


@functools.cache
def primitive(secret, purpose, name, audience):
    context = (purpose, name, audience)
    key = aes_ctr_hmac_aead_pb2.AesCtrHmacAeadKey()
    key.aes_ctr_key.params.iv_size = 16
    key.aes_ctr_key.key_value = derive(secret, b"enc", context, 32)
    key.hmac_key.params.hash = common_pb2.SHA256
    key.hmac_key.params.tag_size = 32
    key.hmac_key.key_value = derive(secret, b"mac", context, 32)
    keyset = tink_pb2.Keyset()
    keyset.primary_key_id = int.from_bytes(derive(secret, b"kid", context, 4), "big")
    entry = keyset.key.add()
    entry.key_id = keyset.primary_key_id
    entry.status = tink_pb2.ENABLED
    entry.output_prefix_type = tink_pb2.TINK
    entry.key_data.type_url = "type.googleapis.com/google.crypto.tink.AesCtrHmacAeadKey"
    entry.key_data.key_material_type = tink_pb2.KeyData.SYMMETRIC
    entry.key_data.value = key.SerializeToString()
    handle = proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    return handle.primitive(aead.Aead)


def from_base64(token):
    sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    # Python's decoder skips characters outside the alphabet and ignores trailing bits
    check(to_base64(sealed) == token)
    return sealed


def to_base64(sealed):
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def text(data):
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Malformed from None


class Reader:
    def __init__(self, data):
        self.data = data

    def take(self, length):
        check(len(self.data) >= length)
        taken, self.data = self.data[:length], self.data[length:]
        return taken

    def number(self, length):
        return int.from_bytes(self.take(length), "big")

    def leb128(self):
        value = 0
        for n in range(3):
            byte = self.number(1)
            value |= (byte & 127) << (7 * n)
            if byte < 128:
                check(byte or not n)
                return value
        raise Malformed


def parse(plain):
    reader = Reader(plain)
    flags = reader.number(1)
    check(not flags & ~(REMEMBERED | OWNER | STORED))
    record = {
        "remembered": bool(flags & REMEMBERED),
        "stored": bool(flags & STORED),
        "id": reader.take(16).hex(),
        "created_ms": reader.number(6),
        "issued_s": reader.number(4),
        "lifetime_s": reader.number(4),
        "owner": None,
        "entries": [],
    }
    if flags & OWNER:
        record["owner"] = text(reader.take(reader.number(1)))
        check(record["owner"])
    last = b""
    while reader.data and reader.data[0]:
        key = reader.take(reader.number(1))
        value = reader.take(reader.leb128())
        check(key > last and value)
        last = key
        record["entries"].append([text(key), value.hex()])
    check(not any(reader.data))
    check(not (record["stored"] and record["entries"]))
    return record


def encode(record, padding=None):
    owner = record["owner"]
    flags = record["remembered"] * REMEMBERED + (owner is not None) * OWNER
    plain = bytes([flags]) + bytes.fromhex(record["id"])
    plain += record["created_ms"].to_bytes(6, "big")
    plain += record["issued_s"].to_bytes(4, "big") + record["lifetime_s"].to_bytes(4, "big")
    if owner is not None:
        plain += bytes([len(owner.encode())]) + owner.encode()
    for key, value in sorted(record["entries"], key=lambda entry: entry[0].encode()):
        value = bytes.fromhex(value)
        plain += bytes([len(key.encode())]) + key.encode()
        length = len(value)
        while length > 127:
            plain += bytes([length & 127 | 128])
            length >>= 7
        plain += bytes([length]) + value
    return plain + bytes(-len(plain) % 16 if padding is None else padding)


def open_token(context, token, aad=b""):
    try:
        return primitive(*context).decrypt(from_base64(token), aad)
    except (tink.TinkError, ValueError):
        raise Malformed from None


def seal_token(context, plain, aad=b""):
    return to_base64(primitive(*context).encrypt(plain, aad))


def batch():
    """Reads lines of JSON and answers each with one line.

    Each line has the form `{"context": [secret, purpose, name, audience], "aad": hex}`. It also has
    a `token` to open, or a `record` to seal and the number of zeros to add as `padding`. The answer
    to a token has `plain` and `record`; they are null if the token has none. The answer to a record
    has its `token` and `plain`.
    """
    for line in sys.stdin:
        ask = json.loads(line)
        context, aad = tuple(ask["context"]), bytes.fromhex(ask["aad"])
        answer = {"plain": None, "record": None}
        try:
            if "token" in ask:
                plain = open_token(context, ask["token"], aad)
                answer["plain"] = plain.hex()
                answer["record"] = parse(plain)
            else:
                plain = encode(ask["record"], ask["padding"])
                answer = {"plain": plain.hex(), "token": seal_token(context, plain, aad)}
        except Malformed:
            pass
        print(json.dumps(answer))


def main():
    aead.register()
    command, *rest = sys.argv[1:]
    if command == "batch":
        return batch()
    secret, name, *rest = rest
    context = (secret, "cookie", name, "")
    if command == "open":
        try:
            record = parse(open_token(context, *rest))
        except Malformed:
            sys.exit("it does not open")
        values = ((key, json.loads(bytes.fromhex(value))) for key, value in record["entries"])
        print(json.dumps({**record, "entries": dict(values)}))
    else:
        entries, owner = rest
        entries = json.loads(entries)
        record = {
            "remembered": False,
            "id": os.urandom(16).hex(),
            "created_ms": time.time_ns() // 1_000_000,
            "issued_s": 0,
            "lifetime_s": 86400,
            "owner": owner or None,
            "entries": [[key, json.dumps(value).encode().hex()] for key, value in entries.items()],
        }
        print(seal_token(context, encode(record)))


main()

"""Opens and makes session tokens with Google's Tink; written from the format's description alone.

usage: cookie.py open SECRET COOKIE_NAME TOKEN           prints the session as JSON
       cookie.py seal SECRET COOKIE_NAME ENTRIES OWNER   prints a token; ENTRIES is a JSON object, OWNER may be empty
"""

import base64
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


def lp(text):
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def derive(secret, role, name, length):
    """HKDF-SHA-256; one block is enough."""
    prk = hmac.digest(LABEL, secret.encode(), hashlib.sha256)
    info = LABEL + b"\0" + role + b"\0" + lp("cookie") + lp(name) + lp("")
    return hmac.digest(prk, info + b"\1", hashlib.sha256)[:length]


def primitive(secret, name):
    key = aes_ctr_hmac_aead_pb2.AesCtrHmacAeadKey()
    key.aes_ctr_key.params.iv_size = 16
    key.aes_ctr_key.key_value = derive(secret, b"enc", name, 32)
    key.hmac_key.params.hash = common_pb2.SHA256
    key.hmac_key.params.tag_size = 32
    key.hmac_key.key_value = derive(secret, b"mac", name, 32)
    keyset = tink_pb2.Keyset()
    keyset.primary_key_id = int.from_bytes(derive(secret, b"kid", name, 4), "big")
    entry = keyset.key.add()
    entry.key_id = keyset.primary_key_id
    entry.status = tink_pb2.ENABLED
    entry.output_prefix_type = tink_pb2.TINK
    entry.key_data.type_url = "type.googleapis.com/google.crypto.tink.AesCtrHmacAeadKey"
    entry.key_data.key_material_type = tink_pb2.KeyData.SYMMETRIC
    entry.key_data.value = key.SerializeToString()
    handle = proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    return handle.primitive(aead.Aead)


def open_token(secret, name, token):
    sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    plain = primitive(secret, name).decrypt(sealed, b"")
    flags, rest = plain[0], plain[31:]
    owner = None
    if flags & 2:
        owner, rest = rest[1 : 1 + rest[0]].decode(), rest[1 + rest[0] :]
    entries = {}
    while rest and rest[0]:
        key, rest = rest[1 : 1 + rest[0]].decode(), rest[1 + rest[0] :]
        length = shift = 0
        while True:
            byte, rest = rest[0], rest[1:]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        entries[key], rest = json.loads(rest[:length]), rest[length:]
    assert not any(rest), "padding is zeros"
    return {
        "id": plain[1:17].hex(),
        "created_ms": int.from_bytes(plain[17:23], "big"),
        "issued_s": int.from_bytes(plain[23:27], "big"),
        "lifetime_s": int.from_bytes(plain[27:31], "big"),
        "remembered": bool(flags & 1),
        "owner": owner,
        "entries": entries,
    }


def seal_token(secret, name, entries, owner):
    plain = bytes([2 if owner else 0]) + os.urandom(16)
    plain += (time.time_ns() // 1_000_000).to_bytes(6, "big")
    plain += (0).to_bytes(4, "big") + (86400).to_bytes(4, "big")
    if owner:
        plain += bytes([len(owner.encode())]) + owner.encode()
    for key, value in sorted(entries.items(), key=lambda item: item[0].encode()):
        value = json.dumps(value).encode()
        assert 0 < len(value) < 128, "one length byte is enough here"
        plain += bytes([len(key.encode())]) + key.encode() + bytes([len(value)]) + value
    plain += bytes(-len(plain) % 16)
    sealed = primitive(secret, name).encrypt(plain, b"")
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def main():
    aead.register()
    command, secret, name, *rest = sys.argv[1:]
    if command == "open":
        try:
            print(json.dumps(open_token(secret, name, *rest)))
        except tink.TinkError as error:
            sys.exit(f"it does not open: {error}")
    else:
        entries, owner = rest
        print(seal_token(secret, name, json.loads(entries), owner))


main()

"""Shows how itsdangerous, base64 and Starlette read cookies.

Reads lines of JSON and answers each with one line:

`{"b64": hex}` and `{"url": hex}`: the decoded bytes in hex, or null.
`{"secrets": [...], "max_age": n, "now": n, "cookie": hex}`: the session's JSON in its normal form;
null if there is no session; "error" if Starlette answers 500 or the value is not JSON.
`{"normal": text}`: the text in its normal form.
"""

import base64
import binascii
import json
import sys

import itsdangerous
from itsdangerous.encoding import base64_decode
from starlette.requests import cookie_parser


class Signer(itsdangerous.TimestampSigner):
    now = 0

    def get_timestamp(self):
        return self.now


def decoded(decode, text):
    try:
        return decode(text).hex()
    except (binascii.Error, itsdangerous.BadData):
        return None


def refuse(constant):
    """Rejects `NaN` and `Infinity`. They are not JSON, but Python reads them and Rust does not."""
    raise ValueError(constant)


def session(ask):
    """Does what `SessionMiddleware.__call__` does."""
    header = b"session=" + bytes.fromhex(ask["cookie"])
    value = cookie_parser(header.decode("latin-1"))["session"]
    signer = Signer(ask["secrets"])
    signer.now = ask["now"]
    try:
        data = signer.unsign(value.encode("utf-8"), max_age=ask["max_age"])
    except itsdangerous.BadSignature:
        return None
    try:
        loaded = json.loads(base64.b64decode(data), parse_constant=refuse)
        return json.dumps(loaded, sort_keys=True) if isinstance(loaded, dict) else "error"
    except (ValueError, RecursionError):
        return "error"


for line in sys.stdin:
    ask = json.loads(line)
    if "b64" in ask:
        told = decoded(base64.b64decode, bytes.fromhex(ask["b64"]))
    elif "url" in ask:
        told = decoded(base64_decode, bytes.fromhex(ask["url"]))
    elif "normal" in ask:
        told = json.dumps(json.loads(ask["normal"]), sort_keys=True)
    else:
        told = session(ask)
    print(json.dumps(told), flush=True)

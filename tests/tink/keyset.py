"""Opens what was sealed with the keys of a printed keyset, with Google's Tink.

usage: keyset.py SEALED AAD < KEYSET

Both are in hex. Prints the plaintext and what Tink seals it to again, both in hex.
"""

import sys

import tink
from tink import aead, json_proto_keyset_format, secret_key_access

aead.register()
sealed, aad = map(bytes.fromhex, sys.argv[1:])
handle = json_proto_keyset_format.parse(sys.stdin.read(), secret_key_access.TOKEN)
primitive = handle.primitive(aead.Aead)
try:
    plain = primitive.decrypt(sealed, aad)
except tink.TinkError:
    sys.exit("it does not open")
print(plain.hex(), primitive.encrypt(plain, aad).hex())

"""Writes v1.json: format 1 of the vault, built a second time from FORMAT.md alone.

It shares no code with the crate, so that what the crate opens here is what FORMAT.md says. Every input is fixed and the
output is kept for ever: a change of v1.json is a change of the format, which gets a number and a file of its own.

Needs Python 3.10 and the package `cryptography`. Run it in this folder: python3 make.py > v1.json
"""

import base64
import hashlib
import hmac
import json

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305


def u32(n): return n.to_bytes(4, "big")
def u64(n): return n.to_bytes(8, "big")
def sha256(data): return hashlib.sha256(data).digest()
def mac(key, data): return hmac.new(key, data, hashlib.sha256).digest()


def expand(prk, info, length):
    out = block = b""
    for i in range(1, -(-length // 32) + 1):
        block = mac(prk, block + info + bytes([i]))
        out += block
    return out[:length]


def hkdf(salt, key, info, length=32):
    return expand(mac(salt or bytes(32), key), info, length)


# Sealing

def padded(data):
    n = 4 + len(data)
    if n <= 16384:
        size = -(-n // 1024) * 1024
    else:
        e = n.bit_length() - 1
        step = 1 << (e - e.bit_length())
        size = -(-n // step) * step
    return (u32(len(data)) + data).ljust(size, b"\0")


def place(kind, ident, rev): return bytes([kind]) + ident + u64(rev)


def seal(prk, vault, epoch, incarnation, where, salt, data):
    head = bytes([1, 1]) + u32(epoch) + u32(incarnation)
    context = head + vault + where
    keys = expand(prk, b"latchkey/v1/seal" + salt + context, 64)
    return head + salt + keys[32:] + AESGCM(keys[:32]).encrypt(bytes(12), padded(data), context)


# CBOR, as far as it is needed: integers, byte strings, text, arrays, maps

def cbor_head(major, n):
    for extra, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 24:
            return bytes([major << 5 | n])
        if n < 1 << 8 * size:
            return bytes([major << 5 | extra]) + n.to_bytes(size, "big")


def cbor(value):
    match value:
        case int(): return cbor_head(0, value) if value >= 0 else cbor_head(1, -1 - value)
        case bytes(): return cbor_head(2, len(value)) + value
        case str(): return cbor_head(3, len(value.encode())) + value.encode()
        case list(): return cbor_head(4, len(value)) + b"".join(map(cbor, value))
        case dict(): return cbor_head(5, len(value)) + b"".join(cbor(k) + cbor(v) for k, v in value.items())


# age (age-encryption.org/v1) and Bech32 (BIP 173)

def b64(data): return base64.b64encode(data).rstrip(b"=")


def bech32(hrp, data):
    alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    bits = "".join(f"{byte:08b}" for byte in data)
    values = [int(bits[i:i + 5].ljust(5, "0"), 2) for i in range(0, len(bits), 5)]

    def polymod(all_values):
        check = 1
        for value in all_values:
            top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
            for i, g in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
                check ^= g if top >> i & 1 else 0
        return check
    prefix = [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]
    check = polymod(prefix + values + [0] * 6) ^ 1
    return hrp + "1" + "".join(alphabet[v] for v in values + [check >> 5 * (5 - i) & 31 for i in range(6)])


def age_file(stanza, body, file_key, nonce, data):
    header = b"age-encryption.org/v1\n-> " + stanza + b"\n" + b64(body) + b"\n---"
    header_mac = mac(hkdf(b"", file_key, b"header"), header)
    stream = ChaCha20Poly1305(hkdf(nonce, file_key, b"payload")).encrypt(bytes(11) + b"\x01", data, b"")
    return header + b" " + b64(header_mac) + b"\n" + nonce + stream


def age_x25519(public, ephemeral, file_key, nonce, data):
    secret = X25519PrivateKey.from_private_bytes(ephemeral)
    share = secret.public_key().public_bytes_raw()
    shared = secret.exchange(X25519PublicKey.from_public_bytes(public))
    key = hkdf(share + public, shared, b"age-encryption.org/v1/X25519")
    body = ChaCha20Poly1305(key).encrypt(bytes(12), file_key, b"")
    return age_file(b"X25519 " + b64(share), body, file_key, nonce, data)


def age_scrypt(passphrase, log2_n, salt, file_key, nonce, data):
    key = hashlib.scrypt(passphrase, salt=b"age-encryption.org/v1/scrypt" + salt, n=1 << log2_n, r=8, p=1,
                         maxmem=1 << 30, dklen=32)
    body = ChaCha20Poly1305(key).encrypt(bytes(12), file_key, b"")
    return age_file(b"scrypt " + b64(salt) + b" " + str(log2_n).encode(), body, file_key, nonce, data)


# The vectors. Inputs are hashes of their names: fixed, and nobody's secret.

def fixed(name, length=32):
    blocks = (sha256(b"latchkey vector: " + name.encode() + (bytes([i]) if i else b"")) for i in range(-(-length // 32)))
    return b"".join(blocks)[:length]


VAULT, INCARNATION, ROOT_EPOCH, ROOT = fixed("vault", 16), 2, 3, fixed("root key")
EPOCHS = {4: fixed("data key 4"), 7: fixed("data key 7")}
ROOT_PRK = mac(b"latchkey/v1/root-key" + VAULT, ROOT)
DATA_PRK = {epoch: mac(b"latchkey/v1/data-key" + VAULT, key) for epoch, key in EPOCHS.items()}


def root_mac(label, data): return mac(expand(ROOT_PRK, label, 32), data)
def data_mac(label, data): return mac(expand(DATA_PRK[7], label, 32), data)
def framed(parts): return b"".join(u64(len(p)) + p for p in parts)


def data_keys():
    for epoch, key in EPOCHS.items():
        salt = fixed(f"data key salt {epoch}")
        sealed = seal(ROOT_PRK, VAULT, epoch, INCARNATION, place(2, VAULT, epoch), salt, key)
        yield {"epoch": epoch, "key": key, "salt": salt, "sealed": sealed}


def records():
    for number, (kind, epoch, length) in enumerate(
            [(3, 7, 0), (3, 7, 8), (3, 4, 40), (4, 7, 1020), (4, 7, 1021), (7, 7, 16380), (7, 7, 16381), (8, 7, 100000)]):
        ident, salt, rev = fixed(f"record {number}", 16), fixed(f"record salt {number}"), 1 << number
        plain = bytes(i % 251 for i in range(length))
        sealed = seal(DATA_PRK[epoch], VAULT, epoch, INCARNATION, place(kind, ident, rev), salt, plain)
        record = {"kind": kind, "id": ident, "rev": rev, "epoch": epoch, "salt": salt, "plain_bytes": length,
                  "sealed_bytes": len(sealed), "sealed_sha256": sha256(sealed)}
        if length <= 40:
            record["sealed"] = sealed
        yield record


def slots():
    payload = VAULT + u32(ROOT_EPOCH) + ROOT
    for name, kind, label in (("passphrase", 1, "ops"), ("identity", 2, "worker 1")):
        secret = fixed(f"slot identity {name}")
        public = X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
        text = bech32("age-secret-key-", secret).upper()
        passphrase = "correct horse battery staple \u00e9"
        protected = b"" if kind != 1 else age_scrypt(passphrase.encode(), 15, fixed("scrypt salt", 16),
                                                     fixed("scrypt file key", 16), fixed("scrypt nonce", 16), text.encode())
        wrapped = age_x25519(public, fixed(f"ephemeral {name}"), fixed(f"file key {name}", 16),
                             fixed(f"nonce {name}", 16), payload)
        record = {1: fixed(f"slot {name}", 16), 2: kind, 3: label, 4: 1_700_000_000_000, 5: bech32("age", public),
                  6: protected, 7: wrapped}
        yield {"cbor": cbor(record), "unlock": passphrase if kind == 1 else f"# a comment\n{text}\n"}


def combined_slot():
    """A passphrase's file within a file to a keyring's half: neither opens it alone."""
    secret, half = fixed("slot identity combined"), fixed("keyring half")
    public, half_public = (X25519PrivateKey.from_private_bytes(s).public_key().public_bytes_raw() for s in (secret, half))
    passphrase, text = "tr0ub4dor & 3", bech32("age-secret-key-", secret).upper()
    inner = age_scrypt(passphrase.encode(), 15, fixed("combined scrypt salt", 16), fixed("combined scrypt file key", 16),
                       fixed("combined scrypt nonce", 16), text.encode())
    protected = age_x25519(half_public, fixed("ephemeral half"), fixed("file key half", 16), fixed("nonce half", 16), inner)
    wrapped = age_x25519(public, fixed("ephemeral combined"), fixed("file key combined", 16), fixed("nonce combined", 16),
                         VAULT + u32(ROOT_EPOCH) + ROOT)
    record = {1: fixed("slot combined", 16), 2: 7, 3: "both", 4: 1_700_000_000_000, 5: bech32("age", public), 6: protected,
              7: wrapped}
    return {"cbor": cbor(record), "passphrase": passphrase, "half": bech32("age-secret-key-", half).upper()}


def header():
    audit = {1: 1 << 40, 2: 9, 3: 1000, 4: fixed("audit link")}
    fields = {1: 70000, 2: fixed("digest top"), 3: 5, 4: fixed("slots mac"), 5: 1, 6: 1, 7: INCARNATION, 8: 7, 9: [audit],
              10: 1_700_000_000_000, 11: fixed("log sum")}
    salt = fixed("header salt")
    return cbor(fields), salt, seal(DATA_PRK[7], VAULT, 7, INCARNATION, place(1, VAULT, 70000), salt, cbor(fields))


def later_headers():
    """Headers of a vault whose keys change, of one that was restored, and of one to which both happened."""
    rekey = {1: 3, 2: 0, 3: 8, 4: 995, 5: fixed("new link"), 6: fixed("old link")}
    begun = {1: 1, 2: 4095, 3: 0, 4: 0, 5: bytes(32), 6: bytes(32)}
    spent, since = 1_790_000_060_000, 1_790_000_000_000
    for counter, later in (
            (70001, {12: begun}), (70002, {12: rekey}), (70003, {13: spent}), (70004, {13: spent, 14: since}),
            (70005, {12: {**rekey, 1: 4}, 13: spent, 14: since})):
        fields = {1: counter, 2: fixed("digest top"), 3: 5, 4: fixed("slots mac"), 5: 1, 6: 1, 7: INCARNATION, 8: 7, 9: [],
                  10: 1_700_000_000_000, 11: fixed("log sum"), **later}
        salt = fixed(f"header salt {counter}")
        sealed = seal(DATA_PRK[7], VAULT, 7, INCARNATION, place(1, VAULT, counter), salt, cbor(fields))
        change = later.get(12)
        yield {"counter": counter, "cbor": cbor(fields), "salt": salt, "sealed": sealed,
               "rekey": change and {"stage": change[1], "bucket": change[2], "links": change[3], "entries": change[4],
                                    "new_link": change[5], "old_link": change[6]},
               "steps_spent_until_ms": later.get(13, 0), "incarnation_since_ms": later.get(14, 0)}


# Rows: what their MACs and elements are over

def row_hash(columns):
    def encode(value):
        match value:
            case None: return b"\0"
            case bytes(): return b"\2" + u64(len(value)) + value
            case int(): return b"\1" + u64(value % (1 << 64))
    return sha256(b"".join(map(encode, columns.values())))


def rows():
    ident, sealed = fixed("row id", 16), fixed("row sealed", 100)
    for table, columns in (
            ("account", {"id": ident, "rev": 3, "epoch": 7, "ix_site": fixed("ix site", 16), "ix_login": fixed("ix login", 16),
                         "ix_manager": None, "sealed": sealed}),
            ("session", {"account": ident, "rev": 1 << 33, "epoch": 7, "login_epoch": 17, "sealed": sealed}),
            ("lease", {"resource": ident, "rev": 4, "epoch": 7, "incarnation": 2, "n": 1 << 40, "held": 1,
                       "holder": fixed("holder", 16), "boot_id": fixed("boot", 16), "until_ms": 1000, "free_at_ms": 2000}),
            ("totp", {"secret": ident, "rev": 1, "epoch": 7, "last_step": 58_000_000}),
            ("outbox", {"id": ident, "rev": 2, "epoch": 7, "lane": 2, "subject": fixed("subject", 16),
                        "after": fixed("after", 16), "seq": 5 << 20 | 1, "due_ms": -1, "tries": 3, "state": 3,
                        "sealed": sealed}),
            ("item", {"tag": 1, "id": ident, "rev": 9, "epoch": 7, "ix": None, "open": 0, "sealed": sealed}),
            ("waiter", {"id": ident, "rev": 2, "epoch": 7, "resource": fixed("resource", 16), "ticket": 6 << 20 | 1,
                        "at_most": 3, "holder": fixed("holder", 16), "boot_id": fixed("boot", 16), "until_ms": 3000})):
        yield {"table": table, "columns": columns, "hash": row_hash(columns)}


def audit_entries():
    entries = []
    for seq, token in ((990, None), (991, (2, 5))):
        ident, sealed = fixed(f"entry {seq}", 16), fixed(f"entry sealed {seq}", 100)
        granted = b"\0" if token is None else b"\1" + u32(token[0]) + u64(token[1])
        entries.append({"seq": seq, "id": ident, "token": token, "sealed": sealed,
                        "hash": sha256(u64(seq) + ident + granted + sealed)})
    return entries


def group():
    number, counter, salt = 63, 70000, fixed("group salt")
    sums = b"".join(fixed(f"sum {i}") for i in range(64))
    sealed = seal(DATA_PRK[7], VAULT, 7, INCARNATION, place(12, bytes(15) + bytes([number]), counter), salt, sums)
    return {"number": number, "counter": counter, "salt": salt, "sums": sums, "sealed": sealed, "hash": sha256(sealed)}


def anchor(commitment, sealed_header, announcement=b""):
    body = b"LATCHANC" + bytes([1]) + bytes(7) + VAULT + u64(12) + commitment + u64(70000) + sha256(sealed_header)
    slot = (body + root_mac(b"latchkey/v1/anchor", body) + announcement).ljust(480, b"\0")
    return slot + sha256(slot)


def announcing_anchor(commitment, sealed_header):
    """The anchor between the announcement of a new root key and the commit that installs it."""
    root, epoch = fixed("next root key"), ROOT_EPOCH + 1
    prk = mac(b"latchkey/v1/root-key" + VAULT, root)
    announced = expand(prk, b"latchkey/v1/commitment" + u32(epoch), 32)
    next_mac = mac(expand(prk, b"latchkey/v1/anchor", 32), VAULT + commitment + announced)
    return {"next_root_epoch": epoch, "next_root_key": root,
            "slot": anchor(commitment, sealed_header, announced + next_mac)}


def vectors():
    commitment = expand(ROOT_PRK, b"latchkey/v1/commitment" + u32(ROOT_EPOCH), 32)
    header_cbor, header_salt, header_sealed = header()
    all_slots = list(slots())
    row, row_hash = place(5, fixed("row", 16), 300), fixed("row hash")
    return {
        "vault": VAULT, "incarnation": INCARNATION, "root_epoch": ROOT_EPOCH, "root_key": ROOT, "commitment": commitment,
        "data_keys": list(data_keys()),
        "records": list(records()),
        "row": {"kind": 5, "id": fixed("row", 16), "rev": 300, "hash": row_hash,
                "mac": data_mac(b"latchkey/v1/row-mac", row + row_hash),
                "element": data_mac(b"latchkey/v1/element", row + row_hash)},
        "rows": list(rows()),
        "group": group(),
        "log_element": {"counter": 69999, "hash": fixed("past header"),
                        "element": data_mac(b"latchkey/v1/element", place(1, VAULT, 69999) + fixed("past header"))},
        "digest_root": {"groups": fixed("groups") * 64,
                        "root": data_mac(b"latchkey/v1/digest-root", fixed("groups") * 64)},
        "entries": {"entries": audit_entries(), "hash": sha256(b"".join(e["hash"] for e in audit_entries()))},
        "audit_link": {"previous": fixed("previous link"), "writer": 1 << 40, "first": 990, "last": 1000,
                       "entries_hash": fixed("entries"),
                       "link": data_mac(b"latchkey/v1/audit-link", fixed("previous link") + u64(1 << 40) + u64(990)
                                        + u64(1000) + fixed("entries"))},
        "blind_index": {"label": "site", "parts": [b"example.org", b""],
                        "index": data_mac(b"latchkey/v1/blind-index", framed([b"site", b"example.org", b""]))[:16]},
        "slots": all_slots,
        "combined_slot": combined_slot(),
        "slots_mac": {"generation": 5,
                      "mac": root_mac(b"latchkey/v1/slots", VAULT + u64(5) + framed(s["cbor"] for s in all_slots))},
        "header": {"cbor": header_cbor, "salt": header_salt, "sealed": header_sealed},
        "anchor": {"slot": anchor(commitment, header_sealed)},
        "later_headers": list(later_headers()),
        "announcing_anchor": announcing_anchor(commitment, header_sealed),
    }


print(json.dumps(vectors(), indent=1, ensure_ascii=True, default=bytes.hex))

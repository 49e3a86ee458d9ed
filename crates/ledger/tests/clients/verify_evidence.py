"""A second verifier of evidence, written from docs/evidence.md alone: a development check.

    pip install cryptography
    python3 verify_evidence.py FILE... [--key PUB] [--flip]

Exit code 0: accepted. 1: rejected, with the record and the reason. --flip checks besides that each
single file is rejected with any one byte changed.
"""

import argparse
import hashlib
import json
import re
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HEAD = ["v", "seq", "prev", "key", "site", "meter", "kind"]
INTERVAL = [
    "start", "seconds", "quality", "why", "in_milli_wh", "out_milli_wh", "heat_milli_wh", "work",
    "grid", "certificates", "baseline", "delivered", "event",
]
# Left out where unknown, never null.
IF_KNOWN = ["proof", "call"]
LINE = re.compile(rb"([0-9a-f]{128}) (\{[ -~]*\})")


class Rejected(Exception):
    pass


def need(condition, why):
    if not condition:
        raise Rejected(why)


def key_id(public):
    return hashlib.sha256(bytes.fromhex(public)).hexdigest()[:16]


class Chain:
    def __init__(self, trusted):
        self.trusted, self.public = trusted, None

    def take(self, line, first_of_file):
        need(len(line) <= 4096, "too long")
        match = LINE.fullmatch(line)
        need(match, "not a signature, a space and an object")
        signature, body = match.groups()
        try:
            record = json.loads(body)
        except ValueError as error:
            raise Rejected(str(error)) from error
        need(json.dumps(record, separators=(",", ":")).encode() == body, "spelled another way")
        kind = record.get("kind")
        need(kind in ("begin", "rotate", "interval"), "kind")
        known = [field for field in IF_KNOWN if record.get(field) is not None]
        fields = INTERVAL + known if kind == "interval" else ["public"]
        need(list(record) == HEAD + fields, "fields")
        need(record["v"] == 1, "version")
        if self.public is None:
            need(kind == "begin", "no beginning")
            self.public, self.seq, self.prev = record["public"], record["seq"], record["prev"]
            self.of, self.until = (record["site"], record["meter"]), 0
            need(self.trusted in (None, self.public), "another key than the trusted one")
        need(not first_of_file or kind == "begin", "a file must begin with its key")
        need(record["seq"] == self.seq, f"sequence {record['seq']}, due {self.seq}")
        need(record["key"] == key_id(self.public), "another key")
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public))
        try:
            key.verify(bytes.fromhex(signature.decode()), b"hearth evidence 1\n" + body)
        except InvalidSignature as error:
            raise Rejected("signature") from error
        need(record["prev"] == self.prev, "previous hash")
        need((record["site"], record["meter"]) == self.of, "another site or meter")
        if kind == "begin":
            need(record["public"] == self.public, "another key announced")
        elif kind == "rotate":
            need(record["public"] != self.public, "the same key again")
            self.public = record["public"]
        else:
            need(record["start"] >= self.until, "overlap")
            self.until = record["start"] + record["seconds"]
        self.seq, self.prev = self.seq + 1, hashlib.sha256(line).hexdigest()


def check(contents, trusted=None):
    chain, count = Chain(trusted), 0
    for content in contents:
        need(content.endswith(b"\n"), "cut off")
        for number, line in enumerate(content[:-1].split(b"\n")):
            try:
                chain.take(line, number == 0)
            except (Rejected, ValueError, KeyError, TypeError) as error:
                raise Rejected(f"line {number + 1}: {error}") from error
            count += 1
    need(count, "no record")
    return count, chain.prev


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+")
    parser.add_argument("--key")
    parser.add_argument("--flip", action="store_true")
    args = parser.parse_args()
    contents = [open(name, "rb").read() for name in args.files]
    try:
        count, head = check(contents, args.key)
    except Rejected as error:
        print(f"rejected: {error}")
        return 1
    print(f"accepted: {count} records, last hash {head}")
    for content in contents if args.flip else []:
        for at in range(len(content)):
            changed = bytearray(content)
            changed[at] ^= 1
            try:
                check([bytes(changed)])
            except Rejected:
                continue
            print(f"byte {at} may be changed")
            return 1
        print(f"{len(content)} single changed bytes rejected")
    return 0


if __name__ == "__main__":
    sys.exit(main())

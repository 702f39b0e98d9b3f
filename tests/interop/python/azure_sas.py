"""Prints an account's shared access signature for its blobs, good for an hour.

azure_sas.py ACCOUNT KEY

The signature is Azure's "account SAS" in the form of version 2018-11-09: eight fields after
the account's name, each on a line of its own.
"""

import base64
import datetime
import hashlib
import hmac
import sys
import urllib.parse


def main() -> None:
    account, key = sys.argv[1:]
    ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    fields = {
        "sp": "rwdlac",
        "ss": "b",
        "srt": "sco",
        "st": "",
        "se": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "sip": "",
        "spr": "https,http",
        "sv": "2018-11-09",
    }
    text = "".join(f"{line}\n" for line in [account, *fields.values()])
    digest = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
    given = {name: value for name, value in fields.items() if value}
    given["sig"] = base64.b64encode(digest).decode()
    print(urllib.parse.urlencode(given))


main()

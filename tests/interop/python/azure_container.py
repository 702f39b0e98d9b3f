"""Makes the container `bucket` in an Azure account, with nothing but the standard library.

azure_container.py ENDPOINT ACCOUNT KEY

The signature is Azure's "Shared Key" (Authorize with Shared Key, 2009-09-19 form).
"""

import base64
import email.utils
import hashlib
import hmac
import sys
import urllib.parse
import urllib.request


def main() -> None:
    endpoint, account, key = sys.argv[1:]
    url = f"{endpoint}/bucket?restype=container"
    headers = {
        "x-ms-blob-public-access": "container",
        "x-ms-date": email.utils.formatdate(usegmt=True),
        "x-ms-version": "2021-08-06",
    }
    path = urllib.parse.urlsplit(endpoint).path
    named = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    resource = f"/{account}{path}/bucket\nrestype:container"
    # Verb, then eleven standard headers that are all empty.
    text = "PUT\n" + "\n" * 11 + named + resource
    digest = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()
    signature = base64.b64encode(digest).decode()
    headers["Authorization"] = f"SharedKey {account}:{signature}"
    request = urllib.request.Request(url, method="PUT", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        assert response.status == 201, response.status


main()

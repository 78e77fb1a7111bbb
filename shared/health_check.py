"""Ask the service of this container whether it lives: `python -m shared.health_check`.

Exit code 0: `/healthz` answers 200 on `HTTP_PORT`, or that port is off and there is nothing to
ask. 1: it does not answer. Needs the standard library only, so that a check costs little.
"""

from __future__ import annotations

import http.client
import os
import sys

_TIMEOUT_SECONDS = 3


def main() -> int:
    """Ask once; return the exit code."""
    port = int(os.environ.get("HTTP_PORT", "").strip() or 0)
    if port == 0:
        return 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"/healthz on port {port}: {error!r}\n")
        return 1
    finally:
        connection.close()
    return 0 if status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main())

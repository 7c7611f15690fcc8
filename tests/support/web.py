"""httpx's `get` and `post` without its five seconds: a busy machine may take longer."""

from functools import partial

import httpx

get = partial(httpx.get, timeout=None)
post = partial(httpx.post, timeout=None)

"""The app in a process that the system allows 256 files."""

import resource

resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))

from wsgi import app  # noqa: E402

__all__ = ["app"]

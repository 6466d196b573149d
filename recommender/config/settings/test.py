"""Settings of the test suite: real servers, cheap passwords, files in a temporary folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from recommender.config.settings.base import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# WhiteNoise wants a folder that exists; the live server finds the files by itself.
STATIC_ROOT = BASE_DIR / "static"  # noqa: F405
ARTIFACT_DIR = Path(tempfile.gettempdir()) / f"vitrine-test-artifacts-{os.getpid()}"
IMPORT_DIR = Path(tempfile.gettempdir()) / f"vitrine-test-imports-{os.getpid()}"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
AXES_ENABLED = False

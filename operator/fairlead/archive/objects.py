"""The archive in a directory or a bucket, by obstore: `file:///…`, `s3://…`, `gs://…`, `az://…`.

Credentials and endpoints come from the environment, under the names that the provider's own tools use
(`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, …), or from what the platform gives to the pod; none is ever part of the URL.
obstore is imported only when an archive is opened: it is an optional dependency.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .store import ArchiveError, ArchiveStore, NotArchived, Stored

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["SCHEMES", "open_archive"]

SCHEMES = ("file", "s3", "gs", "az")

#: Seconds that one request may take, its repetitions included.
_SECONDS = 30.0


def open_archive(url: str) -> ArchiveStore:
    """Return the store at a URL.

    Raises:
        ArchiveError: the URL names none, or obstore is not installed.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ArchiveError(
            f"{url!r} is no archive: it begins with one of {', '.join(f'{each}://' for each in SCHEMES)}"
        )
    if parts.username or parts.password or parts.query:
        raise ArchiveError("credentials of an archive come from the environment, not from its URL")
    try:
        import obstore.exceptions
        from obstore.store import from_url
    except ImportError:
        raise ArchiveError("an archive needs obstore: pip install 'fairlead[archive]'") from None
    try:
        if parts.scheme != "file":
            retries: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=_SECONDS / 2)}
            options: Any = {"timeout": f"{_SECONDS / 3:.0f}s", "connect_timeout": "5s"}
            if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
                options["allow_http"] = True  # whoever says so has a store of their own, such as MinIO beside us
            return _Objects(from_url(url, client_options=options, retry_config=retries), url)
        if parts.netloc or not parts.path.startswith("/"):
            raise ArchiveError(f"{url!r}: the path of a directory is absolute, as in file:///archive")
        return _Directory(Path(parts.path), url)
    except (obstore.exceptions.BaseError, ValueError) as error:
        raise ArchiveError(f"{url} cannot be opened: {_first_line(error)}") from error


class _Objects:
    """An `ArchiveStore` in a bucket."""

    def __init__(self, store: ObjectStore, url: str) -> None:
        self._opened: ObjectStore | None = store
        self._url = url

    @property
    def _store(self) -> ObjectStore:
        assert self._opened is not None
        return self._opened

    async def put(self, path: str, content: bytes) -> None:
        try:
            async with self._told(path):
                await self._store.put_async(path, content)
        except NotArchived as error:
            raise ArchiveError(f"{self._url}: there is no such bucket, or folder") from error

    async def get(self, path: str) -> bytes:
        async with self._told(path):
            found = await self._store.get_async(path)
            return bytes(await found.bytes_async())

    async def holds(self, path: str) -> bool:
        try:
            async with self._told(path):
                await self._store.head_async(path)
        except NotArchived:
            return False
        return True

    async def delete(self, path: str) -> None:
        try:
            async with self._told(path):
                await self._store.delete_async(path)
        except NotArchived:
            return

    async def walk(self, prefix: str) -> AsyncIterator[Stored]:
        async with self._told(prefix):
            pages = self._store.list(prefix.rstrip("/") or None)
        while True:
            async with self._told(prefix):
                page = await anext(pages, None)
            if page is None:
                return
            for each in page:
                yield Stored(each["path"], each["size"], each["last_modified"])

    async def folders(self, prefix: str) -> list[str]:
        async with self._told(prefix):
            found = await self._store.list_with_delimiter_async(prefix.rstrip("/") or None)
        return sorted(each.rstrip("/").rpartition("/")[2] for each in found["common_prefixes"])

    @asynccontextmanager
    async def _told(self, path: str) -> AsyncIterator[None]:
        import obstore.exceptions as failures

        try:
            async with asyncio.timeout(_SECONDS + 5):
                yield
        except (failures.NotFoundError, FileNotFoundError) as error:
            raise NotArchived(f"{self._url} has no {path}") from error
        except TimeoutError as error:
            raise ArchiveError(f"{self._url} does not answer") from error
        except (failures.BaseError, OSError) as error:
            raise ArchiveError(f"{self._url} cannot be used: {_first_line(error)}") from error


class _Directory(_Objects):
    """An `ArchiveStore` in a directory, which has to be there at each use.

    obstore would make it: where a volume should be and is not, we would fill somebody else's disk.
    """

    def __init__(self, root: Path, url: str) -> None:
        self._root = root
        self._opened = None
        self._url = url

    @property
    def _store(self) -> ObjectStore:
        from obstore.store import LocalStore

        if not self._root.is_dir():
            self._opened = None
            raise ArchiveError(f"the directory {self._root} of the archive is not there")
        if self._opened is None:
            self._opened = LocalStore(self._root)
        return self._opened


def _first_line(error: BaseException) -> str:
    """Return what went wrong: obstore adds pages of what it looks like inside, and may repeat what it was given."""
    lines = str(error).splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]

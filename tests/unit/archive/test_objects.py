"""The archive in a directory, and in a bucket of a server that speaks S3: whole objects, and plain errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.archive.bucket import Bucket

from fairlead.archive.objects import open_archive
from fairlead.archive.store import ArchiveError, ArchiveStore, NotArchived

KEY_ID, SECRET = "AKIA-canary", "s3cret-canary"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with Bucket("archive") as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_REGION", "eu-north-1")
        yield found


@pytest.fixture(params=["directory", "bucket"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> ArchiveStore:
    if request.param == "directory":
        return open_archive(f"file://{tmp_path}")
    request.getfixturevalue("bucket")
    return open_archive("s3://archive/below")


async def test_what_is_stored_can_be_had_again(archive: ArchiveStore) -> None:
    await archive.put("runs/ns/a.gz", b"1")
    await archive.put("runs/ns/a.gz", b"22")
    assert await archive.get("runs/ns/a.gz") == b"22"
    assert await archive.holds("runs/ns/a.gz")
    assert not await archive.holds("runs/ns")
    assert not await archive.holds("runs/ns/b.gz")


async def test_all_below_a_folder_is_listed(archive: ArchiveStore) -> None:
    for path in ("runs/ns/a", "runs/ns/deep/b", "runs/nsx/c", "logs/d"):
        await archive.put(path, b"123")
    assert sorted([each.path async for each in archive.walk("runs/ns")]) == ["runs/ns/a", "runs/ns/deep/b"]
    assert [each.size async for each in archive.walk("runs/ns/deep")] == [3]
    assert [each async for each in archive.walk("nothing")] == []
    assert await archive.folders("") == ["logs", "runs"]
    assert await archive.folders("runs/") == ["ns", "nsx"]
    assert await archive.folders("nothing") == []


async def test_many_are_listed_page_by_page(archive: ArchiveStore) -> None:
    for number in range(25):
        await archive.put(f"runs/{number:02}", b"")
    assert len([each async for each in archive.walk("runs")]) == 25


async def test_what_is_not_there_is_told_apart_from_what_cannot_be_had(archive: ArchiveStore) -> None:
    with pytest.raises(NotArchived, match="has no runs/x"):
        await archive.get("runs/x")


async def test_what_is_deleted_is_gone(archive: ArchiveStore) -> None:
    await archive.put("a/b", b"1")
    await archive.delete("a/b")
    await archive.delete("a/b")
    assert not await archive.holds("a/b")


async def test_a_bucket_that_is_away_is_an_error_without_credentials_in_it(bucket: Bucket) -> None:
    archive = open_archive("s3://archive")
    bucket.refuses = 403
    with pytest.raises(ArchiveError) as refused:
        await archive.put("a", b"1")
    bucket.close()
    with pytest.raises(ArchiveError) as away:
        await archive.holds("a")
    for error in (refused.value, away.value):
        assert not isinstance(error, NotArchived)
        assert "\n" not in str(error)
        assert KEY_ID not in str(error)
        assert SECRET not in str(error)


async def test_a_bucket_that_does_not_exist_says_so(bucket: Bucket) -> None:
    with pytest.raises(ArchiveError, match="no such bucket"):
        await open_archive("s3://another/x").put("a", b"1")


class TestDirectory:
    async def test_one_that_is_not_there_is_not_made(self, tmp_path: Path) -> None:
        archive = open_archive(f"file://{tmp_path}/volume")
        with pytest.raises(ArchiveError, match="is not there"):
            await archive.put("a", b"1")
        with pytest.raises(ArchiveError, match="is not there"):
            [each async for each in archive.walk("")]
        assert not (tmp_path / "volume").exists()
        (tmp_path / "volume").mkdir()
        await archive.put("a", b"1")
        assert (tmp_path / "volume" / "a").read_bytes() == b"1"

    async def test_a_full_or_read_only_disk_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "runs").write_text("a file where a folder should be")
        with pytest.raises(ArchiveError, match="cannot be used"):
            await open_archive(f"file://{tmp_path}").put("runs/a", b"1")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://host/x", "begins with one of"),
        ("/archive", "begins with one of"),
        ("file://host/x", "is absolute"),
        ("file:archive", "is absolute"),
        ("s3://key:secret@bucket/x", "come from the environment"),
        ("s3://bucket/x?key=secret", "come from the environment"),
    ],
)
def test_a_url_that_names_no_archive_is_refused(url: str, words: str) -> None:
    with pytest.raises(ArchiveError, match=words) as found:
        open_archive(url)
    assert "secret" not in str(found.value)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.kube import lines
from fairlead.kube.lines import LineSplitter


def split(*chunks: bytes) -> list[bytes]:
    splitter = LineSplitter()
    return [line for chunk in chunks for line in splitter.feed(chunk)]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"a\nb\n"], [b"a", b"b"]),
        ([b"a", b"b", b"\nc"], [b"ab"]),
        ([b"a\n", b"\n", b"b\n"], [b"a", b"b"]),
        ([b"a\r\nb\n"], [b"a\r", b"b"]),
        ([b""], []),
        ([b"half a line"], []),
    ],
    ids=["two in one", "in pieces, rest kept", "empty lines skipped", "CR is JSON's business", "nothing", "half"],
)
def test_lines_of_a_stream(chunks: list[bytes], expected: list[bytes]) -> None:
    assert split(*chunks) == expected


@given(st.lists(st.binary(max_size=20).filter(bytes.strip)), st.data())
def test_it_does_not_matter_where_the_stream_is_cut(parts: list[bytes], data: st.DataObject) -> None:
    whole = [part.replace(b"\n", b"x") for part in parts]
    stream = b"".join(line + b"\n" for line in whole)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert split(*chunks) == whole


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINE_LIMIT", 10)
    splitter = LineSplitter()
    splitter.feed(b"12345678")
    with pytest.raises(ValueError, match="exceeds 10 bytes"):
        splitter.feed(b"90ab")

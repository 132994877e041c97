"""What is read as an output of what a program prints, piece by piece."""

import pytest

from reconcilers.actionset.function import Progress
from reconcilers.actionset.phases import outputs
from reconcilers.actionset.phases.outputs import MAX_OUTPUTS, Collector, Printed

MARK = b"###Phase-output###:"


def collected(*pieces: bytes) -> Printed:
    collector = Collector()
    for piece in pieces:
        collector.feed(piece)
    return collector.end()


def output(key: str = "k", value: str = "v") -> bytes:
    return MARK + b' {"key":"%s","value":"%s"}\n' % (key.encode(), value.encode())


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        pytest.param(output(), {"k": "v"}, id="as kando writes it"),
        pytest.param(MARK + b'{"key":"k","value":"v"}\n', {"k": "v"}, id="without the space"),
        pytest.param(b"done " + output(), {"k": "v"}, id="after other words on its line"),
        pytest.param(output().rstrip(), {"k": "v"}, id="on a last line without an end"),
        pytest.param(output().replace(b"\n", b"\r\n"), {"k": "v"}, id="with a carriage return"),
        pytest.param(output() + output(value="w"), {"k": "w"}, id="of one key the last counts"),
        pytest.param(output("a", "") + output("b"), {"a": "", "b": "v"}, id="an empty value"),
        pytest.param(MARK + b"\n" + MARK + b"  \n", {}, id="a marker alone says nothing"),
        pytest.param(
            MARK + rb'{"key":"k","value":"a\nb\u00e9\ud83d\ude00"}', {"k": "a\nbé😀"}, id="escapes"
        ),
        pytest.param(
            MARK + rb'{"key":"k","value":"\ud83d"}', {"k": "\ufffd"}, id="half a character"
        ),
        pytest.param(MARK + b'{"key":"k","value":"\xff"}', {"k": "\ufffd"}, id="no UTF-8"),
        pytest.param(
            MARK + b'{"KEY":"k","Value":"v","more":{"a":1}}',
            {"k": "v"},
            id="names in any case, and fields that nobody knows",
        ),
        pytest.param(MARK + b'{"key":"k","value":null}', {"k": ""}, id="null is empty"),
        pytest.param(b"no output\n\n \n", {}, id="none at all"),
        pytest.param(b"", {}, id="nothing printed"),
    ],
)
def test_an_output_is_read(printed: bytes, expected: dict[str, str]) -> None:
    result = collected(printed)

    assert (dict(result.outputs), result.problem) == (expected, "")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'{"key":"k","value":"v"} more', id="something after it"),
        pytest.param(b'{"key":"k","value":"v"', id="no end"),
        pytest.param(b'{"key":"k","value":5}', id="a number"),
        pytest.param(b'{"key":"k","value":{}}', id="an object"),
        pytest.param(b'{"key":["k"],"value":"v"}', id="a list as its key"),
        pytest.param(b'["k","v"]', id="a list"),
        pytest.param(b'{"key":"k","value":"v","n":NaN}', id="a number that JSON does not have"),
        pytest.param(b'{"key":"k","value":"v","n":' + b"[" * 100_000, id="without a bottom"),
        pytest.param(b'{"key":"k","value":"a\tb"}', id="a control character"),
    ],
)
def test_a_broken_output_is_named_by_its_number_and_never_by_its_value(content: bytes) -> None:
    result = collected(output("first") + MARK + content + b"\n" + output("later"))

    assert result.problem == (
        'output 2 is no JSON object of the form {"key": "...", "value": "..."}, both of them '
        "texts, with nothing after it on its line"
    )


@pytest.mark.parametrize("size", [1, 2, 7, 18, 19, 20, 64])
def test_it_does_not_matter_where_the_pieces_end(size: int) -> None:
    """Pieces of any size cut the marker, the object and the end of a line."""
    printed = b"####Phase\n" + b"x" + output("a", "b") + b"###Phase-output##\n" + output("c", "d")

    result = collected(*(printed[at : at + size] for at in range(0, len(printed), size)))

    assert result == Printed({"a": "b", "c": "d"}, ("####Phase", "x", "###Phase-output##"))


def test_a_line_may_be_longer_than_any_buffer() -> None:
    long = "y" * 900_000

    result = collected(
        b"x" * 5_000_000,
        b"\n",
        *[output("k", long)[at : at + 65536] for at in range(0, 900_100, 65536)],
    )

    assert result.outputs == {"k": long}


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([output("k", "v" * MAX_OUTPUTS)], id="one"),
        pytest.param([MARK, b'{"key":"'] + [b"k" * 65536] * 40, id="one that does not end"),
        pytest.param([output(f"k{n}", "v" * 65536) for n in range(17)], id="all together"),
    ],
)
def test_outputs_that_no_actionset_can_hold_are_refused(pieces: list[bytes]) -> None:
    assert collected(*pieces).problem == (
        "its outputs have more than 1048576 bytes, and an ActionSet cannot hold more: store large "
        "results elsewhere and put out where they are"
    )


def test_of_one_key_only_the_last_value_counts_for_the_limit() -> None:
    result = collected(*[output("k", "v" * 65536)] * 20)

    assert (len(result.outputs["k"]), result.problem) == (65536, "")


class TestTail:
    """The last lines, for an error."""

    def test_it_has_ten_lines_without_the_outputs_and_the_empty_ones(self) -> None:
        lines = b"".join(b"line %d\n\n" % number for number in range(12))

        result = collected(lines + output() + b"fatal: " + output())

        assert result.tail == (*(f"line {number}" for number in range(3, 12)), "fatal:")

    def test_it_has_four_kibibytes(self) -> None:
        lines = b"".join(b"%d" % number * 1000 + b"\n" for number in range(8))

        result = collected(lines)

        assert [line[0] for line in result.tail] == ["4", "5", "6", "7"]

    def test_of_a_long_last_line_there_is_the_beginning(self) -> None:
        result = collected(b"first\n", b"panic: " + b"x" * 100_000)

        (line,) = result.tail
        assert line.startswith("panic: xxx")
        assert line.endswith("...")
        assert len(line.encode()) <= outputs.TAIL_BYTES

    def test_a_line_that_is_no_text_is_shown_as_far_as_it_is(self) -> None:
        assert collected(b"\xff\xfe rows\n").tail == ("\ufffd\ufffd rows",)


def test_a_line_that_comes_again_counts_once() -> None:
    collector = Collector()
    collector.feed(b"one\ntwo " + MARK + b'{"key"')
    collector.drop_line()
    collector.feed(b"two\n")

    assert collector.end() == Printed({}, ("one", "two"))


PROGRESS = b"###Phase-progress###:"


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        pytest.param(b"hello\n", None, id="nothing says it"),
        pytest.param(PROGRESS + b' {"percent": 12}\n', Progress(12), id="the percent alone"),
        pytest.param(
            PROGRESS + b'{"percent": 3, "sizeUploadedB": 7, "secondsLeft": 60, "more": 1}\n',
            Progress(3, {"sizeUploadedB": 7}, 60),
            id="with sizes and the time that is left; others are left out",
        ),
        pytest.param(
            PROGRESS + b'{"percent": 12}\n' + PROGRESS + b'{"percent": 34}\n',
            Progress(34),
            id="the last one counts",
        ),
        pytest.param(PROGRESS + b'{"percent": 100}\n', Progress(99), id="what runs is not over"),
        pytest.param(PROGRESS + b'{"percent": -1}\n', Progress(0), id="below nothing"),
        pytest.param(
            PROGRESS + b'{"percent": 12}\n' + PROGRESS + b'{"percent": "many"}\n',
            Progress(12),
            id="one that cannot be read does not count",
        ),
        pytest.param(
            PROGRESS + b'{"percent": 1}\n' + PROGRESS + b'{"percent": 2, "secondsLeft": 1e300}\n',
            Progress(1),
            id="a number for which a status has no room does not count",
        ),
        pytest.param(PROGRESS + b'{"percent": 1e999}\n', None, id="no number at all"),
        pytest.param(PROGRESS + b"[]\n", None, id="no object"),
        pytest.param(PROGRESS + b'{"percent": 12}', None, id="a line that has not ended"),
    ],
)
def test_how_far_a_phase_is(printed: bytes, expected: Progress | None) -> None:
    collector = Collector()
    collector.feed(printed)

    assert collector.progress == expected


def test_commands_that_a_shell_traces_are_none_of_the_last_lines() -> None:
    """After `set -x` it prints each command with its values, passwords among them."""
    printed = collected(b"connecting\n+ psql --password=hunter2\n++ echo hunter2\n+1 row\nFATAL\n")

    assert printed.tail == ("connecting", "+1 row", "FATAL")


def test_how_far_it_is_is_none_of_the_last_lines() -> None:
    printed = collected(b"copying\n" + PROGRESS + b'{"percent": 12}\nno space left\n')

    assert printed == Printed({}, ("copying", "no space left"))

"""What was appended is found by whoever opens the journal next, whatever became of the writer."""

import os
import shutil
from pathlib import Path

import pytest

from medstress.answers.ask import Answer
from medstress.answers.journal import Journal
from medstress.answers.segment import line_of, parsed, scanned
from medstress.errors import MedstressError


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


def answer(number: int) -> Answer:
    return Answer(f'line {number}\nsays "ä" \ud800', number, None, "stop")


def filled(folder: Path, numbers: range) -> None:
    with Journal(folder) as journal:
        for number in numbers:
            journal.sent(key(number))
            journal.add(key(number), answer(number))


def killed(folder: Path, into: Path) -> Path:
    """The journal as a process leaves it that was killed now: nothing closed, no index, the lease of a dead process."""
    shutil.copytree(folder, into)
    for lease in into.glob("*.lease"):
        lease.write_text(lease.read_text().replace(f'"pid": {os.getpid()}', '"pid": 4194305'))
    return into


def test_answers_are_found_again_by_key(tmp_path):
    filled(tmp_path, range(50))
    with Journal(tmp_path) as journal:
        assert len(journal) == 50
        assert key(7) in journal
        assert key(50) not in journal
        assert journal.answers(key(number) for number in range(40, 60)) == {
            key(number): answer(number) for number in range(40, 50)
        }
        assert (journal.torn, journal.damaged) == (0, 0)


def test_an_answer_is_readable_at_once(tmp_path):
    with Journal(tmp_path) as journal:
        journal.add(key(1), answer(1))
        assert journal.answers([key(1)]) == {key(1): answer(1)}


def test_every_cut_of_the_file_keeps_every_whole_answer(tmp_path):
    filled(tmp_path / "whole", range(4))
    data = (tmp_path / "whole/000001.jsonl").read_bytes()
    for length in range(len(data) + 1):
        contents, whole = scanned(data[:length]), data[:length].split(b"\n")[:-1]
        assert (contents.entries["offset"] >= 0).sum() == sum(b'"answer"' in line for line in whole)
        assert contents.torn == (length > 0 and data[length - 1 : length] != b"\n")
        assert contents.damaged == 0


def test_a_torn_tail_is_dropped_and_counted_once(tmp_path):
    filled(tmp_path, range(3))
    segment = tmp_path / "000001.jsonl"
    segment.write_bytes(segment.read_bytes()[:-9])
    with Journal(tmp_path) as journal:
        assert (len(journal), journal.torn, journal.damaged) == (2, 1, 0)
        journal.add(key(2), answer(2))
    with Journal(tmp_path) as journal:
        assert (len(journal), journal.torn) == (3, 0)
        assert len(journal.answers(map(key, range(3)))) == 3


def test_a_killed_writer_leaves_what_it_wrote(tmp_path):
    with Journal(tmp_path / "a") as journal:
        for number in range(5):
            journal.sent(key(number))
            if number < 3:
                journal.add(key(number), answer(number))
        left = killed(tmp_path / "a", tmp_path / "b")
    with Journal(left) as journal:
        assert [key(number) in journal for number in range(5)] == [True, True, True, False, False]
        assert [journal.uncertain(key(number)) for number in range(5)] == [0, 0, 0, 1, 1]
        journal.sent(key(3))
        assert journal.repeated == 1
        journal.add(key(3), answer(3))
        journal.sent(key(9))
        assert journal.repeated == 1
    with Journal(left) as journal:
        assert len(journal) == 4
        assert journal.uncertain(key(3)) == 1  # the lost request stays on the bill
        assert journal.uncertain(key(9)) == 1


def test_a_request_that_came_back_with_an_error_is_neither_an_answer_nor_uncertain(tmp_path):
    with Journal(tmp_path) as journal:
        journal.sent(key(1))
        journal.came_back(key(1))
    with Journal(tmp_path) as journal:
        assert len(journal) == 0
        assert journal.uncertain(key(1)) == 0


def test_a_damaged_line_costs_itself_alone(tmp_path):
    filled(tmp_path, range(10))
    segment = tmp_path / "000001.jsonl"
    data = bytearray(segment.read_bytes())
    data[data.index(b"line 4")] ^= 1
    segment.write_bytes(bytes(data))
    with Journal(tmp_path) as journal:  # by the index all is well; reading finds out
        found = journal.answers(map(key, range(10)))
        assert set(found) == {key(number) for number in range(10) if number != 4}
        assert journal.damaged == 1
        assert key(4) not in journal
    with Journal(tmp_path) as journal:
        assert (len(journal), journal.damaged) == (9, 1)


def test_what_is_asked_instead_of_a_damaged_answer_is_found_again(tmp_path):
    filled(tmp_path, range(10))
    segment = tmp_path / "000001.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b"line 4", b"line X"))
    for turn in range(3):
        with Journal(tmp_path) as journal:
            asked = [number for number in range(10) if key(number) not in journal.answers(map(key, range(10)))]
            assert asked == ([] if turn else [4])
            for number in asked:
                journal.add(key(number), answer(number))


def test_a_place_that_holds_another_event_is_no_answer(tmp_path):
    with Journal(tmp_path) as journal:
        journal.sent(key(1))
        journal.add(key(1), answer(1))
    segment = tmp_path / "000001.jsonl"
    sent, answered = segment.read_bytes().splitlines(keepends=True)
    more = line_of(key(1), "sent", {"x": "x" * (len(answered) - len(sent) - 7)})
    assert len(more) == len(answered)
    segment.write_bytes(sent + more)  # as long as before, so the index seems right
    with Journal(tmp_path) as journal:
        assert journal.answers([key(1)]) == {}


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-1], lambda data: data[:30], lambda data: b"x" * len(data), bytes.lower]
)
def test_an_index_that_is_not_right_is_made_anew(tmp_path, spoil):
    filled(tmp_path, range(10, 90))
    index = tmp_path / "000001.index"
    good = index.read_bytes()
    index.write_bytes(spoil(good.replace(b"\x0a", b"A")))
    with Journal(tmp_path) as journal:
        assert len(journal.answers(map(key, range(10, 90)))) == 80
    assert index.read_bytes() == good


def test_a_segment_that_grew_after_its_index_is_read_again(tmp_path):
    filled(tmp_path, range(3))
    with (tmp_path / "000001.jsonl").open("ab") as late:
        late.write(line_of(key(5), "answer", vars(answer(5))))
    with Journal(tmp_path) as journal:
        assert key(5) in journal


def test_segments_end_and_their_indices_carry_what_is_open(tmp_path):
    with Journal(tmp_path, segment_bytes=500) as journal:
        for number in range(40):
            journal.sent(key(number))
        for number in range(0, 40, 2):
            journal.add(key(number), answer(number))
        assert len(list(tmp_path.glob("*.index"))) > 5
    with Journal(tmp_path) as journal:
        assert len(journal.answers(map(key, range(40)))) == 20
        assert sum(journal.uncertain(key(number)) for number in range(40)) == 20


def test_of_two_answers_the_first_counts(tmp_path):
    with Journal(tmp_path) as journal:
        journal.add(key(1), answer(1))
    (tmp_path / "000002.jsonl").write_bytes(line_of(key(1), "answer", vars(answer(2))))
    with Journal(tmp_path) as journal:
        assert journal.answers([key(1)]) == {key(1): answer(1)}


def test_the_same_events_make_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        filled(tmp_path / name, range(20))
    for file in ("000001.jsonl", "000001.index"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_writer_that_was_replaced_stops(tmp_path):
    journal = Journal(tmp_path)
    journal.add(key(1), answer(1))
    journal._lease.lost = True
    with pytest.raises(MedstressError, match="another process took over"):
        journal.add(key(2), answer(2))
    journal.close()


def test_a_full_disk_spoils_no_later_answer(tmp_path, monkeypatch):
    with Journal(tmp_path) as journal:
        journal.add(key(1), answer(1))
        write = os.write

        def half(file: int, data: memoryview) -> int:
            if len(data) < 20:
                raise OSError(28, "No space left on device")
            return write(file, data[: len(data) // 2])

        with monkeypatch.context() as full:
            full.setattr(os, "write", half)
            with pytest.raises(OSError, match="No space"):
                journal.add(key(2), answer(2))
        journal.add(key(3), answer(3))
    with Journal(tmp_path) as journal:
        assert set(journal.answers(map(key, range(5)))) == {key(1), key(3)}
        assert journal.torn == 1


def test_a_line_is_readable_by_people_and_checked():
    line = line_of(key(3), "answer", {"text": "ja\n", "tokens_in": 1, "tokens_out": 2, "finish": "stop"})
    assert line.startswith(b'{"key":"00000000000000000000000000000003","event":"answer","text":"ja\\n",')
    assert line.count(b"\n") == 1
    assert parsed(line)["text"] == "ja\n"
    assert parsed(line.replace(b"ja", b"no")) is None
    assert parsed(b"") is None

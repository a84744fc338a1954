"""The suite itself: every acceptance check has a test."""

import checks


def test_every_check_has_a_test():
    covered = {number for test in checks.tests() for number in test.numbers or ()}
    assert set(checks.NUMBERS) - covered == set()
    assert covered - set(checks.NUMBERS) == set()


def test_every_test_says_what_it_is_about():
    assert [test.name for test in checks.tests() if test.numbers is None and test.file != "test_checks.py"] == []

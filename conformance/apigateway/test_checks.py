"""The suite itself: every acceptance check has a test, and every test says what it is about."""

import re

import checks


def test_every_check_has_a_test():
    covered = {number for test in checks.tests() for number in test.numbers or ()}
    assert set(checks.NUMBERS) - covered == set()
    assert covered - set(checks.NUMBERS) == set()


def test_names_and_docstrings_agree():
    for test in checks.tests():
        number = re.match(r"test_c(\d+)_", test.name)
        assert not number or int(number[1]) in (test.numbers or ()), f"{test.file}: {test.name}"


def test_every_feature_is_told_once():
    features = [test.feature for test in checks.tests() if test.numbers is not None]
    assert sorted(features) == sorted(set(features))

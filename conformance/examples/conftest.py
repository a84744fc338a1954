import pytest
from chromium import Chromium


@pytest.fixture(scope="module")
def chromium():
    with Chromium() as browser:
        yield browser

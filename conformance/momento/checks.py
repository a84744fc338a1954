"""The acceptance checks of this folder; `python checks.py` prints which test proves which."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "lib"))

import acceptance  # noqa: E402

NUMBERS = range(1, 31)
FOLDER = Path(__file__).parent

read = acceptance.read


def tests():
    return acceptance.tests(FOLDER)


if __name__ == "__main__":
    print(acceptance.table(FOLDER, NUMBERS))

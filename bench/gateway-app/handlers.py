"""Functions that say when they ran, in nanoseconds of the machine's monotonic clock."""

import json
import time


def connect(event, context):
    return {"statusCode": 200, "subscribe": ["everybody"]}


def stamp(event, context):
    began = time.monotonic_ns()
    return answer(began)


def slow(event, context):
    began = time.monotonic_ns()
    time.sleep(0.1)
    return answer(began)


def answer(began):
    return {"statusCode": 200, "body": json.dumps({"began": began, "done": time.monotonic_ns()})}

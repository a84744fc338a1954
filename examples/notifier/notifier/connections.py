"""Who is connected: a row for each connection.

The rows are in SQLite, which all processes of one machine can share. On AWS functions share no disk: there this is the
one file to write anew, for DynamoDB or another database.
"""

import os
import sqlite3
from contextlib import contextmanager
from dataclasses import astuple, dataclass

SCHEMA = """
CREATE TABLE IF NOT EXISTS connections (
    connection_id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    domain_name TEXT NOT NULL,
    stage TEXT NOT NULL,
    connected_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS connections_of_user ON connections (user_id);
"""


@dataclass(frozen=True)
class Connection:
    """A user may have several: tabs, devices."""

    connection_id: str
    user_id: str
    domain_name: str
    """With `stage`, where the gateway is asked to send: https://{domain_name}/{stage}."""
    stage: str
    connected_at: float
    """Seconds since 1970."""


@contextmanager
def database():
    """A transaction of its own for each use; writers wait for each other for up to ten seconds."""
    rows = sqlite3.connect(os.environ["CONNECTIONS_DB"], timeout=10)
    try:
        rows.executescript(SCHEMA)
        with rows:
            yield rows
    finally:
        rows.close()


def save(connection):
    with database() as rows:
        rows.execute("INSERT OR REPLACE INTO connections VALUES (?, ?, ?, ?, ?)", astuple(connection))


def delete(connection_id):
    with database() as rows:
        rows.execute("DELETE FROM connections WHERE connection_id = ?", [connection_id])


def of_user(user_id):
    with database() as rows:
        found = rows.execute("SELECT * FROM connections WHERE user_id = ?", [user_id])
        return [Connection(*row) for row in found]

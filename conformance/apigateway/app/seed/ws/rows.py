"""Which connections each user has: rows of a file, in place of a table."""

import os
import sqlite3
from contextlib import closing

SCHEMA = "CREATE TABLE IF NOT EXISTS rows (connection_id TEXT PRIMARY KEY, user_id TEXT, endpoint TEXT)"


def query(sql, *values):
    with closing(sqlite3.connect(os.environ["ROWS_FILE"], timeout=10)) as database, database:
        database.execute(SCHEMA)
        return database.execute(sql, values).fetchall()


def put(connection_id, user_id, endpoint):
    query("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", connection_id, user_id, endpoint)


def delete(connection_id):
    query("DELETE FROM rows WHERE connection_id = ?", connection_id)


def of(user_id):
    return query("SELECT connection_id, endpoint FROM rows WHERE user_id = ?", user_id)

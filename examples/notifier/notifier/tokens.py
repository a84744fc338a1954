"""Tokens that say who is connecting: JSON Web Tokens in the URL, because a page can set no headers on a WebSocket."""

import os
import time

import jwt

# URLs end up in logs. A token that is good for one minute is worth nothing there.
LIFETIME_SECONDS = 60


def mint(user_id):
    """A token with which `user_id` can connect within the next minute."""
    claims = {"sub": user_id, "exp": int(time.time()) + LIFETIME_SECONDS}
    return jwt.encode(claims, os.environ["JWT_SECRET"], algorithm="HS256")


def user_of(token):
    """The user whom a token names; raises jwt.InvalidTokenError for one that is forged, expired or incomplete."""
    options = {"require": ["sub", "exp"]}
    return jwt.decode(token, os.environ["JWT_SECRET"], algorithms=["HS256"], options=options)["sub"]

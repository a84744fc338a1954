"""The shop: puts tickets on sale. It knows EventBridge, and nothing of who listens.

    .venv/bin/python sell.py ed-sheeran 120
"""

import json
import os
import sys
from pathlib import Path

import boto3


def put_on_sale(artist, seats):
    events = boto3.client(
        "events",
        endpoint_url=os.environ.get("FANFARE_URL", "http://localhost:8080"),
        region_name="local",
        aws_access_key_id="shop",
        aws_secret_access_key=Path(__file__).with_name("shop.secret").read_text().strip(),
    )
    detail = json.dumps({"artist": artist, "seats": int(seats)})
    entry = {"Source": "shop.tickets", "DetailType": "Tickets On Sale", "Detail": detail}
    return events.put_events(Entries=[entry])


if __name__ == "__main__":
    print(put_on_sale(*sys.argv[1:])["Entries"])

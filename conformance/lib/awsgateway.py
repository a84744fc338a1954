"""What the suites of the API Gateway door take for granted about the server's command line and folders."""

import re
import subprocess

from fanfare import binary

# The authority that the server makes for itself, below its data folder.
CA_FILE = "ca/ca.pem"

ACCOUNT = "000000000000"


def create_credentials(name, data, *args):
    """Keys for senders outside of the server, as `fanfare credentials create` prints them."""
    command = [binary(), "credentials", "create", name, "--data", str(data), *args]
    text = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    return dict(re.findall(r"^(?:export )?(AWS_[A-Z_]+)=(\S+)$", text, re.MULTILINE))


def credential(key, secret, *statements, session_token=None):
    """A part of a fanfare.toml: an access key, and the policy that it has of its own."""
    policy = '{"Version": "2012-10-17", "Statement": [' + ", ".join(statements) + "]}"
    lines = ["[[iot.policies]]", f'name = "{key}"', f"document = '{policy}'", "[[aws.credentials]]"]
    lines += [f'access_key_id = "{key}"', f'secret = "{secret}"', f'policies = ["{key}"]']
    if session_token:
        lines.append(f'session_token = "{session_token}"')
    return "\n".join([*lines, ""])


def allow(action, resource="*", effect="Allow"):
    """One statement; several actions are separated by commas."""
    actions = ", ".join(f'"{one.strip()}"' for one in action.split(","))
    return f'{{"Effect": "{effect}", "Action": [{actions}], "Resource": "{resource}"}}'

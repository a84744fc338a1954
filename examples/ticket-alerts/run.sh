#!/usr/bin/env bash
# Starts it all: the gateway, and a server for the page. Ctrl-C ends it all.
set -euo pipefail
cd "$(dirname "$0")"

fanfare=${FANFARE:-$(command -v fanfare || echo ../../target/release/fanfare)}

# What the shop needs, installed once.
cmp -s requirements.txt .venv/requirements.txt || {
  python3 -m venv .venv
  .venv/bin/pip install --quiet --requirement requirements.txt
  cp requirements.txt .venv/
}
PATH="$PWD/.venv/bin:$PATH"
[ -s shop.secret ] || (umask 077 && python -c 'import secrets; print(secrets.token_hex(32))' >shop.secret)

trap 'exit 130' INT TERM
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT

"$fanfare" serve --config fanfare.toml --app serverless.yml &
until (: </dev/tcp/127.0.0.1/8080) 2>/dev/null; do
  kill -0 $! 2>/dev/null || exit 1
  sleep 0.1
done
python -m http.server 8090 --bind 127.0.0.1 --directory page &>.fanfare/page.log &

echo "Open http://localhost:8090, choose an artist, and in another terminal: .venv/bin/python sell.py ed-sheeran 120"
wait -n

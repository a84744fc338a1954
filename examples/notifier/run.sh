#!/usr/bin/env bash
# Starts it all: the gateway with its functions, and the service with the page. Ctrl-C ends it all.
set -euo pipefail
cd "$(dirname "$0")"

fanfare=${FANFARE:-$(command -v fanfare || echo ../../target/release/fanfare)}
gateway_port=${GATEWAY_PORT:-8080}
export PORT=${PORT:-8090}

# What the service and the page need, installed once. The gateway does the same for its functions. All that is made here
# is in .work, .venv and node_modules: delete them to begin anew.
cmp -s requirements.txt .venv/requirements.txt || {
  python3 -m venv .venv
  .venv/bin/pip install --quiet --requirement requirements.txt
  cp requirements.txt .venv/
}
[ -d node_modules ] || npm ci --no-audit --no-fund --silent
npm run --silent build
PATH="$PWD/.venv/bin:$PATH"

# The secret of tokens, and who is connected: the functions and the service share both.
umask 077
data=.work/gateway
[ -s .work/jwt-secret ] || python -c 'import secrets; print(secrets.token_hex(32))' >.work/jwt-secret
export JWT_SECRET=$(<.work/jwt-secret) CONNECTIONS_DB=$PWD/.work/connections.db

trap 'exit 130' INT TERM
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT

FANFARE_MQTT_LISTEN='' "$fanfare" serve --app serverless.yml --listen "127.0.0.1:$gateway_port" --data $data &
until (: <"/dev/tcp/127.0.0.1/$gateway_port") 2>/dev/null; do
  kill -0 $! 2>/dev/null || exit 1
  sleep 0.1
done

# The service is outside of the gateway: it needs an access key of its own, the authority that vouches for the gateway's
# certificate, and to know where browsers connect.
[ -s .work/notifier.env ] || "$fanfare" credentials create notifier --policy manage-connections --data $data >.work/notifier.env
set -a
. .work/notifier.env
AWS_CA_BUNDLE=$PWD/$data/ca/ca.pem
WEBSOCKET_URL=ws://localhost:$gateway_port/dev
set +a
python serve.py &

echo "Open http://localhost:$PORT in two windows, log in, and notify each other. Ctrl-C ends it."
wait -n

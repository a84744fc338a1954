#!/usr/bin/env bash
# Starts it all: the gateway, and the server with the page. Ctrl-C ends it all.
set -euo pipefail
cd "$(dirname "$0")"

fanfare=${FANFARE:-$(command -v fanfare || echo ../../target/release/fanfare)}
export GATEWAY=localhost:${GATEWAY_PORT:-8080} PORT=${PORT:-8090}

# What server and page need, installed once. All that is made here is in .work and node_modules: delete them to begin
# anew.
[ -d node_modules ] || npm ci --no-audit --no-fund --silent
npm run --silent build

# The server makes tokens, so it needs a key that may do that. Only this program of ours has it.
umask 077
data=.work/gateway
[ -s .work/api-key ] || "$fanfare" key create chat --data $data >.work/api-key

trap 'exit 130' INT TERM
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT

FANFARE_MQTT_LISTEN='' FANFARE_AUTH__ALLOWED_ORIGINS=http://localhost:$PORT \
  "$fanfare" serve --config fanfare.toml --listen "127.0.0.1:${GATEWAY#*:}" --data $data &
until (: <"/dev/tcp/127.0.0.1/${GATEWAY#*:}") 2>/dev/null; do
  kill -0 $! 2>/dev/null || exit 1
  sleep 0.1
done
MOMENTO_API_KEY=$(<.work/api-key) node serve.js &

echo "Open http://localhost:$PORT in two windows, enter with two names, and talk. Ctrl-C ends it."
wait -n

#!/usr/bin/env bash
# Compares the API of a binary with the recorded answers of a real Kubernetes API server.
#   tests/reference.sh BINARY FOLDER [arguments of the comparing script, such as --only REGEX --verbose]
set -euo pipefail
binary=$1 reference=$2
shift 2
if [ ! -f "$reference/replay.py" ]; then
  echo "SKIPPED: no recorded answers in $reference; name their folder with REFERENCE=DIR"
  exit 0
fi

directory=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$directory"' EXIT
token=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
echo "$token,admin,1,\"system:masters\"" >"$directory/tokens"
mkfifo "$directory/out"
"$binary" up --api-only --disable-admission-plugins=ServiceAccount --token-auth-file "$directory/tokens" \
  --data-dir "$directory/data" --api 127.0.0.1:0 >"$directory/out" &
server=$!
# The one line of a ready cluster names its address.
read -r line <"$directory/out"
url=$(sed -n 's/.* on \(https:[^ ]*\) .*/\1/p' <<<"$line")
python3 "$reference/replay.py" --server "$url" --token "$token" --no-account "$@"

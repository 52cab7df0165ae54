#!/usr/bin/env bash
# Runs the batteries of real clients (every kubectl at hand, the Python and the Node client) against a binary.
#   tests/clients/run.sh BINARY IMAGE_FILE [kubectl|python|node...]
# Clients come from their registries and are kept in CLIENTS_CACHE (default: the user's cache directory).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$1 image=$2
shift 2
(($#)) || set -- kubectl python node
cache=${CLIENTS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/coracle-clients}
mkdir -p "$cache"

directory=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null && wait "$server" 2>/dev/null; rm -rf "$directory"' EXIT
"$binary" image load "$image" --data-dir "$directory/data" --tag battery:1 >/dev/null
mkfifo "$directory/out"
"$binary" up --data-dir "$directory/data" --api 127.0.0.1:0 >"$directory/out" &
server=$!
# The one line of a ready cluster.
read -r line <"$directory/out"
echo "$line"
export KUBECONFIG=$directory/data/kubeconfig

failed=()
for client in "$@"; do
  case $client in
    kubectl)
      # KUBECTLS may name several, of several versions.
      for program in ${KUBECTLS:-kubectl}; do
        "$here/kubectl.sh" "$program" battery:1 || failed+=("$program")
      done ;;
    python)
      [[ -x $cache/python/bin/python ]] || python3 -m venv "$cache/python"
      "$cache/python/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
      "$cache/python/bin/python" -W ignore "$here/battery.py" battery:1 || failed+=(python) ;;
    node)
      mkdir -p "$cache/node"
      cp "$here/package.json" "$here/battery.mjs" "$cache/node/"
      npm install --silent --no-audit --no-fund --prefix "$cache/node" 2>/dev/null
      node "$cache/node/battery.mjs" battery:1 || failed+=(node) ;;
    *) echo "$client is not one of kubectl, python, node" >&2; exit 64 ;;
  esac
done
if ((${#failed[@]})); then
  echo "FAILED: ${failed[*]}"
  exit 1
fi

# One pod that serves HTTP: logs, forwarding, proxying, programs in it, waiting, deleting.

pods() {
  is "pod/web created" k run web --image="$image" --port=8080 --labels=app=web
  says "condition met" k wait --for=condition=Ready pod/web --timeout=30s
  says "1/1" k get pod web
  says "IP:" k describe pod web
  says "Started" k get events --field-selector involvedObject.name=web
  says "Hello" k get --raw "/api/v1/namespaces/$namespace/pods/web:8080/proxy/"
  says "Hello" forwarded
  says "web" k exec web -- env
  refuses "command terminated with exit code" k exec web -- ls /no/such/place
  says "data" copied
  says "labeled" k label pod web extra=1
  refuses "pod updates may not change fields other than" k patch pod web -p '{"spec":{"hostname":"other"}}'
  says "deleted" k delete pod web --timeout=30s
  is "" k get pod web --ignore-not-found
}

forwarded() {
  local process line port
  k port-forward pod/web :8080 >"$directory/forward" 2>&1 &
  process=$!
  for _ in $(seq 50); do
    line=$(head -n 1 "$directory/forward")
    [[ -n $line ]] && break
    sleep 0.1
  done
  port=$(sed -n 's/.*127.0.0.1:\([0-9]*\) .*/\1/p' <<<"$line")
  curl -sS --max-time 5 "http://127.0.0.1:$port/" || cat "$directory/forward"
  kill "$process"
  wait "$process" 2>/dev/null || true
}

copied() {
  echo data >"$directory/file"
  k cp "$directory/file" web:/tmp/file && k exec web -- cat /tmp/file
}

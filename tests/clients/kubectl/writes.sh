# Apply in both forms, diff, replace, edit and the three patches; dry runs and strict fields.

writes() {
  applied
  applied_by_the_server
  patched
}

map() { # NAME KEY VALUE
  printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {%s: "%s"}\n' "$@" >"$directory/map.yaml"
}

applied() {
  map mine a 1
  is "configmap/mine created (server dry run)" k apply -f "$directory/map.yaml" --dry-run=server
  is "" k get configmap mine --ignore-not-found
  is "configmap/mine created" k apply -f "$directory/map.yaml"
  is "configmap/mine unchanged" k apply -f "$directory/map.yaml"
  map mine b 2
  refuses "+  b: \"2\"" k diff -f "$directory/map.yaml"
  is "configmap/mine configured" k apply -f "$directory/map.yaml"
  is '{"b":"2"}' field configmap/mine '{.data}'
  says "b: \"2\"" k apply view-last-applied configmap/mine
  is "kubectl-client-side-apply" k get configmap mine --show-managed-fields -o 'jsonpath={.metadata.managedFields[*].manager}'
  map mine c 3
  is "configmap/mine replaced" k replace -f "$directory/map.yaml"
  is '{"c":"3"}' field configmap/mine '{.data}'
  is "configmap/mine edited" env EDITOR="sed -i s/c:/d:/" KUBE_EDITOR="sed -i s/c:/d:/" "$program" -n "$namespace" edit configmap mine
  is '{"d":"3"}' field configmap/mine '{.data}'
  printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: odd}\nnonsense: 1\n' >"$directory/odd.yaml"
  refuses 'unknown field "nonsense"' k create -f "$directory/odd.yaml"
  says 'unknown field "nonsense"' k create -f "$directory/odd.yaml" --validate=warn
  says "pruned" prune
}

prune() {
  map keep a 1
  sed -i 's/name: keep/name: keep, labels: {set: p}/' "$directory/map.yaml"
  cp "$directory/map.yaml" "$directory/keep.yaml"
  sed 's/keep/drop/' "$directory/keep.yaml" >"$directory/drop.yaml"
  k apply -f "$directory/keep.yaml" -f "$directory/drop.yaml" >/dev/null
  k apply -f "$directory/keep.yaml" --prune -l set=p --prune-allowlist=core/v1/ConfigMap
}

applied_by_the_server() {
  map ssa a 1
  is "configmap/ssa serverside-applied" k apply --server-side -f "$directory/map.yaml"
  map ssa a 2
  refuses 'conflict with "kubectl": .data.a' k apply --server-side --field-manager=other -f "$directory/map.yaml"
  is "configmap/ssa serverside-applied" k apply --server-side --field-manager=other --force-conflicts -f "$directory/map.yaml"
  is "2" field configmap/ssa '{.data.a}'
  map ssa b 1
  is "configmap/ssa serverside-applied" k apply --server-side --field-manager=other -f "$directory/map.yaml"
  is '{"b":"1"}' field configmap/ssa '{.data}'
  # From client-side to server-side apply: the old manager's fields go with it.
  map moved a 1
  k apply -f "$directory/map.yaml" >/dev/null
  is "configmap/moved serverside-applied" k apply --server-side -f "$directory/map.yaml"
  map moved b 1
  is "configmap/moved serverside-applied" k apply --server-side -f "$directory/map.yaml"
  is '{"b":"1"}' field configmap/moved '{.data}'
}

patched() {
  is "configmap/one patched" k patch configmap one -p '{"data":{"a":"9"}}'
  is "configmap/one patched" k patch configmap one --type=merge -p '{"data":{"b":null}}'
  is "configmap/one patched" k patch configmap one --type=json -p '[{"op":"add","path":"/data/z","value":"26"}]'
  is '{"a":"9","z":"26"}' field configmap/one '{.data}'
  refuses "the server rejected our request due to an error in our request" \
    k patch configmap one --type=json -p '[{"op":"test","path":"/data/z","value":"0"}]'
  is "service/web patched" k patch service web -p '{"spec":{"ports":[{"port":443,"name":"tls"},{"port":80,"name":"http"}]}}'
  is "443 80" field service/web '{.spec.ports[*].port}'
  refuses "field is immutable" k patch secret key --type=merge -p '{"type":"other"}'
}

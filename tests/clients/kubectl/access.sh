# Who may do what: roles, bindings, reviews, impersonation, tokens.

access() {
  is "role.rbac.authorization.k8s.io/reader created" k create role reader --verb=get,list --resource=configmaps
  is "rolebinding.rbac.authorization.k8s.io/readers created" \
    k create rolebinding readers --role=reader --serviceaccount="$namespace:worker"
  local worker=(--as "system:serviceaccount:$namespace:worker")
  is "yes" k auth can-i get configmaps "${worker[@]}"
  refuses "no" k auth can-i delete configmaps "${worker[@]}"
  says "[get list]" k auth can-i --list "${worker[@]}"
  refuses "User \"system:serviceaccount:$namespace:worker\" cannot list resource \"secrets\" in API group \"\" in the namespace \"$namespace\"" \
    k get secrets "${worker[@]}"
  is "role.rbac.authorization.k8s.io/reader reconciled" reconciled
  token
}

reconciled() {
  k get role reader -o yaml >"$directory/role.yaml"
  k auth reconcile -f "$directory/role.yaml"
}

# A request with a token alone: no client certificate of the kubeconfig.
with_token() {
  local server
  server=$(k config view --raw --minify -o 'jsonpath={.clusters[0].cluster.server}')
  k config view --raw --minify -o 'jsonpath={.clusters[0].cluster.certificate-authority-data}' | base64 -d >"$directory/ca"
  KUBECONFIG=/dev/null "$program" --server "$server" --certificate-authority "$directory/ca" --token "$1" \
    --namespace "$namespace" "${@:2}"
}

token() {
  local token
  token=$(k create token worker --duration=10m) || true
  is "configmap/one" with_token "$token" get configmap one -o name
  refuses "Forbidden" with_token "$token" get secrets
  refuses "Unauthorized" with_token "nonsense" get configmap one
  if ((minor >= 28)); then
    says "system:serviceaccount:$namespace:worker" with_token "$token" auth whoami
  fi
}

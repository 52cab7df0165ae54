# Discovery, creating, showing, finding and deleting objects.

objects() {
  says "kube-system" k get namespaces
  says "deployments" k api-resources --api-group=apps
  says "apps/v1" k api-versions
  says "ok" k get --raw /readyz
  says "v1.34" k version
  says "is running at" k cluster-info
  says "FIELDS" k explain pods
  says "containers" k explain pods.spec --recursive
  says "minReadySeconds" k explain deployments.spec

  is "configmap/one created" k create configmap one --from-literal=a=1 --from-literal=b=2
  refuses 'configmaps "one" already exists' k create configmap one
  is "1" field configmap/one '{.data.a}'
  says "DATA" k get configmap one
  says "a: \"1\"" k get configmap one -o yaml
  says '"b": "2"' k get configmap one -o json
  is "configmap/one" k get configmap one -o name
  is "one" k get configmap one -o go-template='{{.metadata.name}}'
  says "NAME" k get configmap one -o custom-columns=NAME:.metadata.name
  says "Name:         one" k describe configmap one
  refuses 'configmaps "none" not found' k get configmap none
  refuses 'the server doesn'"'"'t have a resource type "nonsense"' k get nonsense

  is "secret/key created" k create secret generic key --from-literal=password=open
  is "b3Blbg==" field secret/key '{.data.password}'
  is "Opaque" field secret/key '{.type}'
  says "kubernetes.io/tls" tls_secret
  is "secret/pull created" k create secret docker-registry pull --docker-server=r --docker-username=u --docker-password=p
  is "serviceaccount/worker created" k create serviceaccount worker
  is "resourcequota/small created" k create quota small --hard=pods=9,configmaps=20
  is "poddisruptionbudget.policy/calm created" k create pdb calm --selector=app=web --min-available=1
  is "priorityclass.scheduling.k8s.io/$namespace created" k create priorityclass "$namespace" --value=7
  is "priorityclass.scheduling.k8s.io \"$namespace\" deleted" cluster_delete priorityclass "$namespace"
  is "service/web created" k create service clusterip web --tcp=80:8080
  is "service/door created" k create service nodeport door --tcp=80
  is "service/far created" k create service externalname far --external-name=example.org
  is "80 8080" field service/web '{.spec.ports[0].port} {.spec.ports[0].targetPort}'
  is "ingress.networking.k8s.io/gate created" k create ingress gate --rule=a.example/x=web:80
  selectors
  chunks
}

# What a delete prints differs by version: newer ones name the namespace too.
cluster_delete() {
  "$program" delete "$@" | sed 's/ from .* namespace$//'
}

tls_secret() {
  openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=a -days 1 -keyout "$directory/key" -out "$directory/crt" 2>/dev/null
  k create secret tls web-tls --cert="$directory/crt" --key="$directory/key" >/dev/null
  field secret/web-tls '{.type}'
}

selectors() {
  k create configmap red >/dev/null
  k create configmap blue >/dev/null
  is "configmap/red labeled" k label configmap red color=red tier=front
  is "configmap/blue labeled" k label configmap blue color=blue
  refuses "'color' already has a value (red)" k label configmap red color=green
  is "configmap/red labeled" k label configmap red color=green --overwrite
  is "configmap/red unlabeled" k label configmap red tier-
  is "configmap/blue" k get configmap -l color=blue -o name
  is "configmap/blue" k get configmap -l 'color in (blue,white)' -o name
  is "configmap/red" k get configmap -l 'color,color!=blue' -o name
  is "configmap/red" k get configmap --field-selector metadata.name=red -o name
  refuses "is not a known field selector" k get configmap --field-selector spec.nothing=1
  # kubectl 1.27 says "annotate" here.
  says "configmap/red annotate" k annotate configmap red note=seen
  is "seen" field configmap/red '{.metadata.annotations.note}'
  is "blue red" bash -c "$program -n $namespace get configmap blue red --sort-by=.metadata.name -o jsonpath='{.items[*].metadata.name}'"
  says "COLOR" k get configmap -L color
  says "color=green" k get configmap --show-labels
}

chunks() {
  local n
  for n in 1 2 3 4 5; do k create configmap "chunk-$n" >/dev/null; done
  says "chunk-5" k get configmap --chunk-size=2
  says "configmap \"chunk-1\" deleted" k delete configmap chunk-1
  says "chunk-2" k delete configmap chunk-2 chunk-3 --now
  is "" k get configmap chunk-2 --ignore-not-found
  says "deleted" k delete configmap -l color=blue
  says "(server dry run)" k delete configmap chunk-4 --dry-run=server
  is "configmap/chunk-4" k get configmap chunk-4 -o name
}

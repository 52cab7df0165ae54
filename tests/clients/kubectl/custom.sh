# Custom resources: served once established, explained, validated, printed, scaled.

custom() {
  local group=$namespace.example.org
  cat >"$directory/crd.yaml" <<YAML
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.$group}
spec:
  group: $group
  scope: Namespaced
  names: {plural: boats, singular: boat, kind: Boat, shortNames: [bt$RANDOM]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.oars, statusReplicasPath: .status.oars}}
    additionalPrinterColumns: [{name: Oars, type: integer, jsonPath: .spec.oars}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          status: {type: object, properties: {oars: {type: integer}}}
          spec:
            type: object
            description: What the boat has.
            required: [oars]
            x-kubernetes-validations: [{rule: "self.oars % 2 == 0", message: "oars come in pairs"}]
            properties: {oars: {type: integer, minimum: 0}, colour: {type: string, default: green}}
YAML
  says "created" k apply -f "$directory/crd.yaml"
  says "condition met" k wait --for=condition=Established "crd/boats.$group" --timeout=10s
  boat 3 && refuses "oars come in pairs" k create -f "$directory/boat.yaml"
  boat -2 && refuses "should be greater than or equal to 0" k create -f "$directory/boat.yaml"
  boat 4 && says "created" k create -f "$directory/boat.yaml"
  is "green" k get "boats.$group" nut -o 'jsonpath={.spec.colour}'
  says "OARS" k get "boats.$group"
  says "What the boat has." k explain "boat.spec" --api-version="$group/v1"
  says "scaled" k scale "boats.$group/nut" --replicas=6
  is "6" k get "boats.$group" nut -o 'jsonpath={.spec.oars}'
  says "patched" k patch "boats.$group" nut --type=merge -p '{"spec":{"colour":"red"}}'
  says "deleted" k delete "crd/boats.$group" --timeout=30s
  refuses "the server doesn't have a resource type" k get "boats.$group"
}

boat() {
  printf 'apiVersion: %s/v1\nkind: Boat\nmetadata: {name: nut}\nspec: {oars: %s}\n' "$namespace.example.org" "$1" >"$directory/boat.yaml"
}

#!/usr/bin/env bash
# The battery of kubectl: what people type, against a running cluster.
#   tests/clients/kubectl.sh KUBECTL IMAGE      (KUBECONFIG names the cluster; IMAGE is a loaded image that serves HTTP)
set -euo pipefail
cd "$(dirname "$0")"
source ./battery.sh
program=$1 image=$2
minor=$("$program" version --client -o json | sed -n 's/.*"minor": "\([0-9]*\).*/\1/p')
directory=$(mktemp -d)
namespace=battery-$minor-$RANDOM
k() { "$program" --namespace "$namespace" "$@"; }
field() { k get "$1" -o "jsonpath=$2"; }
trap '"$program" delete namespace "$namespace" --wait=false >/dev/null 2>&1 || true; rm -rf "$directory"' EXIT

source ./kubectl/objects.sh
source ./kubectl/writes.sh
source ./kubectl/access.sh
source ./kubectl/custom.sh
source ./kubectl/workloads.sh
source ./kubectl/pods.sh

is "" "$program" get namespace "$namespace-none" --ignore-not-found
is "namespace/$namespace created" "$program" create namespace "$namespace"
objects
writes
access
custom
workloads
pods
says "deleted" "$program" delete namespace "$namespace" --timeout=60s
verdict "kubectl 1.$minor"

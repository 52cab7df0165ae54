# Deployments and their like, as people run them day by day.

workloads() {
  is "deployment.apps/shop created" k create deployment shop --image="$image" --replicas=2 --port=8080
  says "successfully rolled out" k rollout status deployment/shop --timeout=30s
  says "2/2" k get deployment shop
  is "service/shop exposed" k expose deployment shop --port=80 --target-port=8080
  soon "2" endpoints shop
  is "deployment.apps/shop scaled" k scale deployment shop --replicas=3
  soon "3" field deployment/shop '{.status.readyReplicas}'
  is "deployment.apps/shop env updated" k set env deployment/shop COLOUR=red
  says "successfully rolled out" k rollout status deployment/shop --timeout=30s
  says "REVISION" k rollout history deployment/shop
  is "deployment.apps/shop rolled back" k rollout undo deployment/shop
  says "successfully rolled out" k rollout status deployment/shop --timeout=30s
  is "" field deployment/shop '{.spec.template.spec.containers[0].env}'
  is "deployment.apps/shop restarted" k rollout restart deployment/shop
  is "deployment.apps/shop paused" k rollout pause deployment/shop
  is "deployment.apps/shop resumed" k rollout resume deployment/shop
  is "horizontalpodautoscaler.autoscaling/shop autoscaled" k autoscale deployment shop --max=4 --cpu-percent=80
  says "shop" k get all
  says "deleted" k delete deployment shop --cascade=foreground --timeout=30s
  soon "" k get pods -l app=shop -o name
  says "deleted" k delete hpa,service shop
  jobs_of_kubernetes
}

endpoints() {
  k get endpointslices -l "kubernetes.io/service-name=$1" -o 'jsonpath={.items[*].endpoints[*].conditions.ready}' | wc -w
}

jobs_of_kubernetes() {
  is "cronjob.batch/nightly created" k create cronjob nightly --image="$image" --schedule='0 3 * * *'
  is "job.batch/tonight created" k create job tonight --from=cronjob/nightly
  soon "1" field job/tonight '{.status.active}'
  says "deleted" k delete job tonight --timeout=30s
  says "deleted" k delete cronjob nightly
}

"""The battery of the Python client (PyPI `kubernetes`): python battery.py IMAGE, KUBECONFIG names the cluster."""

import sys
import threading
import time
import unittest
import uuid

from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException
from kubernetes.stream import portforward, stream

IMAGE = sys.argv.pop(1)
config.load_kube_config()
NAMESPACE = f"python-{uuid.uuid4().hex[:8]}"


def pod(name, image=IMAGE):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"containers": [{"name": "main", "image": image, "ports": [{"containerPort": 8080}]}]}}


def wait_for(what, seconds=20):
    """Waits for a level, not an edge: `what` is asked until it is true."""
    end = time.monotonic() + seconds
    while not (value := what()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {value!r}")
        time.sleep(0.05)
    return value


class Battery(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.core = client.CoreV1Api()
        cls.core.create_namespace({"metadata": {"name": NAMESPACE}})

    @classmethod
    def tearDownClass(cls):
        cls.core.delete_namespace(NAMESPACE)

    def running(self, name):
        self.core.create_namespaced_pod(NAMESPACE, pod(name))
        wait_for(lambda: self.core.read_namespaced_pod(name, NAMESPACE).status.phase == "Running")

    def test_objects_live_and_die(self):
        name = "map"
        made = self.core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": name}, "data": {"a": "1"}})
        self.assertEqual(made.data, {"a": "1"})
        made.data["b"] = "2"
        replaced = self.core.replace_namespaced_config_map(name, NAMESPACE, made)
        self.assertGreater(int(replaced.metadata.resource_version), int(made.metadata.resource_version))
        with self.assertRaises(ApiException) as refused:
            self.core.replace_namespaced_config_map(name, NAMESPACE, made)
        self.assertEqual(refused.exception.status, 409)
        patched = self.core.patch_namespaced_config_map(name, NAMESPACE, {"data": {"a": None}})
        self.assertEqual(patched.data, {"b": "2"})
        self.core.delete_namespaced_config_map(name, NAMESPACE)
        with self.assertRaises(ApiException) as gone:
            self.core.read_namespaced_config_map(name, NAMESPACE)
        self.assertEqual(gone.exception.status, 404)

    def test_lists_come_in_pages(self):
        for number in range(7):
            labels = {"set": "pages"}
            self.core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": f"page-{number}", "labels": labels}})
        names, token = [], None
        while True:
            page = self.core.list_namespaced_config_map(NAMESPACE, limit=3, _continue=token, label_selector="set=pages")
            names += [item.metadata.name for item in page.items]
            token = page.metadata._continue
            if not token:
                break
        self.assertEqual(names, [f"page-{number}" for number in range(7)])

    def test_a_watch_sees_each_change_once(self):
        seen, source = [], watch.Watch()
        start = self.core.list_namespaced_secret(NAMESPACE).metadata.resource_version

        def look():
            for event in source.stream(self.core.list_namespaced_secret, NAMESPACE, resource_version=start,
                                       timeout_seconds=20):
                seen.append((event["type"], event["object"].metadata.name))
                if event["type"] == "DELETED":
                    source.stop()

        looker = threading.Thread(target=look)
        looker.start()
        self.core.create_namespaced_secret(NAMESPACE, {"metadata": {"name": "seen"}, "stringData": {"a": "b"}})
        self.core.patch_namespaced_secret("seen", NAMESPACE, {"metadata": {"labels": {"x": "y"}}})
        self.core.delete_namespaced_secret("seen", NAMESPACE)
        looker.join(25)
        self.assertEqual(seen, [("ADDED", "seen"), ("MODIFIED", "seen"), ("DELETED", "seen")])

    def test_the_dynamic_client_applies_any_kind(self):
        dynamic_client = dynamic.DynamicClient(client.ApiClient())
        jobs = dynamic_client.resources.get(api_version="batch/v1", kind="CronJob")
        body = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"},
                "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": {"spec": {
                    "restartPolicy": "Never", "containers": [{"name": "a", "image": IMAGE}]}}}}}}
        jobs.server_side_apply(body=body, namespace=NAMESPACE, field_manager="battery")
        applied = jobs.get(name="tick", namespace=NAMESPACE)
        self.assertEqual(applied.spec.concurrencyPolicy, "Allow")
        self.assertEqual(applied.metadata.managedFields[0].manager, "battery")
        jobs.delete(name="tick", namespace=NAMESPACE)

    def test_custom_objects_follow_their_schema(self):
        group = f"{NAMESPACE}.example.org"
        api = client.ApiextensionsV1Api()
        schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "size": {"type": "integer", "maximum": 3}}}}}
        api.create_custom_resource_definition({
            "metadata": {"name": f"cups.{group}"},
            "spec": {"group": group, "scope": "Namespaced", "names": {"plural": "cups", "kind": "Cup"},
                     "versions": [{"name": "v1", "served": True, "storage": True,
                                   "schema": {"openAPIV3Schema": schema}}]}})
        cups = client.CustomObjectsApi()
        cup = {"apiVersion": f"{group}/v1", "kind": "Cup", "metadata": {"name": "a"}, "spec": {"size": 2, "odd": 1}}

        def served():
            try:
                return cups.create_namespaced_custom_object(group, "v1", NAMESPACE, "cups", cup)
            except ApiException as error:
                self.assertEqual(error.status, 404)

        self.assertEqual(wait_for(served)["spec"], {"size": 2})
        with self.assertRaises(ApiException) as refused:
            cups.patch_namespaced_custom_object(group, "v1", NAMESPACE, "cups", "a", {"spec": {"size": 4}})
        self.assertEqual(refused.exception.status, 422)
        api.delete_custom_resource_definition(f"cups.{group}")

    def test_a_document_makes_its_objects(self):
        template = {"metadata": {"labels": {"app": "d"}}, "spec": pod("d")["spec"]}
        deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
                      "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "d"}}, "template": template}}
        utils.create_from_dict(client.ApiClient(), deployment, namespace=NAMESPACE)
        apps = client.AppsV1Api()
        wait_for(lambda: apps.read_namespaced_deployment("d", NAMESPACE).status.ready_replicas == 2)
        apps.delete_namespaced_deployment("d", NAMESPACE)
        wait_for(lambda: not self.core.list_namespaced_pod(NAMESPACE, label_selector="app=d").items)

    def test_access_is_reviewed(self):
        review = client.AuthorizationV1Api().create_self_subject_access_review(
            {"spec": {"resourceAttributes": {"verb": "create", "resource": "pods", "namespace": NAMESPACE}}})
        self.assertTrue(review.status.allowed)
        token = self.core.create_namespaced_service_account_token("default", NAMESPACE, {"spec": {"expirationSeconds": 600}})
        review = client.AuthenticationV1Api().create_token_review({"spec": {"token": token.status.token}})
        self.assertEqual(review.status.user.username, f"system:serviceaccount:{NAMESPACE}:default")

    def test_a_pod_runs_programs_and_forwards_ports(self):
        self.running("runs")
        core = client.CoreV1Api(client.ApiClient())
        out = stream(core.connect_get_namespaced_pod_exec, "runs", NAMESPACE, command=["echo", "from", "inside"],
                     stdout=True, stderr=True, stdin=False, tty=False)
        self.assertEqual(out, "from inside\n")
        session = stream(core.connect_get_namespaced_pod_exec, "runs", NAMESPACE, command=["cat"],
                         stdout=True, stderr=True, stdin=True, tty=False, _preload_content=False)
        session.write_stdin("line\n")
        self.assertEqual(session.readline_stdout(timeout=10), "line")
        session.close()
        failed = stream(core.connect_get_namespaced_pod_exec, "runs", NAMESPACE, command=["ls", "/no/such"],
                        stdout=True, stderr=True, stdin=False, tty=False, _preload_content=False)
        failed.run_forever(timeout=10)
        self.assertNotEqual(failed.returncode, 0)
        core = client.CoreV1Api(client.ApiClient())
        forward = portforward(core.connect_get_namespaced_pod_portforward, "runs", NAMESPACE, ports="8080")
        socket = forward.socket(8080)
        socket.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := socket.recv(1024):
            answer += part
        self.assertIn(b"200 OK", answer)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=1)

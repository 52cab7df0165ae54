// The battery of the Node client (npm `@kubernetes/client-node`): node battery.mjs IMAGE, KUBECONFIG names the cluster.
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import net from 'node:net';
import { once } from 'node:events';
import * as k8s from '@kubernetes/client-node';

const image = process.argv[2];
const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const namespace = `node-${Math.random().toString(36).slice(2, 10)}`;

/** Asks until the answer is true: a level, not an edge. */
async function waitFor(what, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await what();
    if (value) return value;
    assert(Date.now() < end, `not within ${seconds} s: ${what}`);
    await new Promise((next) => setTimeout(next, 50));
  }
}

async function running(name) {
  const spec = { containers: [{ name: 'main', image, ports: [{ containerPort: 8080 }] }] };
  await core.createNamespacedPod({ namespace, body: { metadata: { name }, spec } });
  await waitFor(async () => (await core.readNamespacedPod({ name, namespace })).status?.phase === 'Running');
}

const tests = {
  async 'objects live and die'() {
    const made = await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'a' }, data: { a: '1' } } });
    made.data.b = '2';
    await core.replaceNamespacedConfigMap({ name: 'a', namespace, body: made });
    await assert.rejects(core.replaceNamespacedConfigMap({ name: 'a', namespace, body: made }), { code: 409 });
    await core.patchNamespacedConfigMap(
      { name: 'a', namespace, body: [{ op: 'remove', path: '/data/a' }] },
      k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.JsonPatch),
    );
    assert.deepEqual((await core.readNamespacedConfigMap({ name: 'a', namespace })).data, { b: '2' });
    await core.deleteNamespacedConfigMap({ name: 'a', namespace });
    await assert.rejects(core.readNamespacedConfigMap({ name: 'a', namespace }), { code: 404 });
  },

  async 'an informer keeps a copy'() {
    const list = () => core.listNamespacedSecret({ namespace, labelSelector: 'set=informed' });
    const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/secrets`, list, 'set=informed');
    const seen = [];
    for (const verb of ['add', 'update', 'delete']) informer.on(verb, (it) => seen.push(`${verb} ${it.metadata.name}`));
    await informer.start();
    const metadata = { name: 's', labels: { set: 'informed' } };
    await core.createNamespacedSecret({ namespace, body: { metadata } });
    await core.replaceNamespacedSecret({ name: 's', namespace, body: { metadata, stringData: { a: 'b' } } });
    await core.deleteNamespacedSecret({ name: 's', namespace });
    await waitFor(() => seen.length >= 3);
    await informer.stop();
    assert.deepEqual(seen, ['add s', 'update s', 'delete s']);
  },

  async 'the object api applies any kind'() {
    const api = k8s.KubernetesObjectApi.makeApiClient(config);
    const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'any', namespace }, spec: { ports: [{ port: 80 }] } };
    const manager = [undefined, undefined, 'battery', true, k8s.PatchStrategy.ServerSideApply];
    const applied = await api.patch(service, ...manager);
    assert.match(applied.spec.clusterIP, /^10\./);
    assert.equal(applied.metadata.managedFields[0].operation, 'Apply');
    await api.delete(service);
  },

  async 'a watch ends with the server\'s time-out and no error'() {
    const watch = new k8s.Watch(config);
    const error = await new Promise((done) => {
      watch.watch(`/api/v1/namespaces/${namespace}/pods`, { timeoutSeconds: 1 }, () => {}, done);
    });
    assert.equal(error, null);
  },

  async 'a pod runs programs and logs'() {
    await running('runs');
    const exec = new k8s.Exec(config);
    const run = (command) => new Promise((done, fail) => {
      const out = new PassThrough();
      const chunks = [];
      out.on('data', (chunk) => chunks.push(chunk));
      const end = (status) => done({ status, text: Buffer.concat(chunks).toString() });
      exec.exec(namespace, 'runs', 'main', command, out, new PassThrough(), null, false, end).catch(fail);
    });
    const echoed = await run(['echo', 'from', 'inside']);
    assert.equal(echoed.status.status, 'Success');
    assert.equal(echoed.text, 'from inside\n');
    const { status } = await run(['ls', '/no/such']);
    assert.equal(status.reason, 'NonZeroExitCode');
    assert.equal(status.details.causes[0].reason, 'ExitCode');
    const log = new PassThrough();
    log.resume();
    await new k8s.Log(config).log(namespace, 'runs', 'main', log, { tailLines: 1 });
  },

  async 'a port is forwarded'() {
    await running('serves');
    const forward = new k8s.PortForward(config);
    const server = net.createServer((socket) => forward.portForward(namespace, 'serves', [8080], socket, null, socket));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const answer = await fetch(`http://127.0.0.1:${server.address().port}/`, { signal: AbortSignal.timeout(10_000) });
    assert.equal(answer.status, 200);
    server.close();
  },
};

await core.createNamespace({ body: { metadata: { name: namespace } } });
let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
  } catch (error) {
    failed += 1;
    // A web socket's error event holds its whole connection: its message is enough.
    console.log(`FAILED ${name}:`, error?.stack ?? error?.message ?? error);
  }
}
await core.deleteNamespace({ name: namespace });
console.log(`node: ${Object.keys(tests).length} tests, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

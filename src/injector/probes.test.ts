import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseProbeReplays, type ProbeReplay } from '../api/probe-replay.ts';
import type { Container, Handler, Pod } from './pod.ts';
import {
  allow,
  expectPatched,
  expectRefused,
  findContainer,
  readFlag,
  readRecorded,
  withApp,
  withMetadata,
  withSpec,
} from './testing/pods.ts';

const job = readRecorded('job');

function readReplays(pod: Pod): readonly ProbeReplay[] {
  const text = readFlag(findContainer(pod, 'sallyport'), '--probes');
  if (text === undefined) return [];
  return (
    parseProbeReplays(JSON.parse(Buffer.from(text, 'base64').toString())) ?? assert.fail('the sidecar refuses them')
  );
}

/** The replay of a readiness probe without its random path, and what the probe has become. */
function moveProbe(probe: Handler & { timeoutSeconds?: number }, app: Partial<Container> = {}) {
  const { pod } = expectPatched(withApp(job, { ...app, readinessProbe: probe }));
  const replays = readReplays(pod);
  const moved = findContainer(pod, 'report').readinessProbe;
  if (replays.length === 0) return { moved };
  const [{ path, ...replay }] = replays as [ProbeReplay];
  assert.deepEqual(moved?.httpGet, { path, port: 15191, scheme: 'HTTP' });
  return { moved, replay };
}

describe('a probe on an intercepted port is moved to the health port', () => {
  const ports = [
    { name: 'udp', containerPort: 53, protocol: 'UDP' },
    { name: 'web', containerPort: 8080 },
  ];
  const probes: Readonly<Record<string, readonly [Handler & { timeoutSeconds?: number }, Omit<ProbeReplay, 'path'>]>> =
    {
      'HTTP, with its path and query': [
        { httpGet: { path: '/ready?deep=1&x=%2F', port: 8080 } },
        { kind: 'http', port: 8080, target: '/ready?deep=1&x=%2F', timeoutMs: 1000 },
      ],
      'HTTP, with its headers and host': [
        {
          httpGet: {
            path: '/',
            port: 8080,
            httpHeaders: [
              { name: 'host', value: 'app.example' },
              { name: 'X-A', value: '1' },
              { name: 'X-A', value: '2' },
              { name: 'Content-Length', value: '7' },
            ],
          },
        },
        {
          kind: 'http',
          port: 8080,
          target: '/',
          host: 'app.example',
          headers: [
            ['X-A', '1'],
            ['X-A', '2'],
          ],
          timeoutMs: 1000,
        },
      ],
      'HTTP without a path': [{ httpGet: { port: 8080 } }, { kind: 'http', port: 8080, target: '/', timeoutMs: 1000 }],
      'HTTP with a path that no URL can hold, as the kubelet sends it': [
        { httpGet: { path: 'a b"ü#top', port: 8080 } },
        { kind: 'http', port: 8080, target: '/a%20b%22%C3%BC', timeoutMs: 1000 },
      ],
      'HTTP with a path that names another host, of which the kubelet takes the path alone': [
        { httpGet: { path: '//other.example/x', port: 8080 } },
        { kind: 'http', port: 8080, target: '/x', timeoutMs: 1000 },
      ],
      HTTPS: [
        { httpGet: { path: '/r', port: 8443, scheme: 'HTTPS' }, timeoutSeconds: 7 },
        { kind: 'http', port: 8443, scheme: 'HTTPS', target: '/r', timeoutMs: 7000 },
      ],
      'a named port': [
        { httpGet: { path: '/r', port: 'web' } },
        { kind: 'http', port: 8080, target: '/r', timeoutMs: 1000 },
      ],
      TCP: [{ tcpSocket: { port: 'web' } }, { kind: 'tcp', port: 8080, timeoutMs: 1000 }],
      gRPC: [{ grpc: { port: 9000 } }, { kind: 'grpc', port: 9000, timeoutMs: 1000 }],
      'gRPC with a service': [
        { grpc: { port: 9000, service: 'a.B' } },
        { kind: 'grpc', port: 9000, service: 'a.B', timeoutMs: 1000 },
      ],
      'a port that the pod does not declare': [
        { tcpSocket: { port: 1234 } },
        { kind: 'tcp', port: 1234, timeoutMs: 1000 },
      ],
    };
  for (const [name, [probe, expected]] of Object.entries(probes)) {
    test(name, () => assert.deepEqual(moveProbe(probe, { ports }).replay, expected));
  }

  test('its times stay, and nothing is left of what it was', () => {
    const { moved } = moveProbe({ tcpSocket: { port: 80 }, timeoutSeconds: 9 });
    assert.deepEqual(Object.keys(moved ?? {}).sort(), ['httpGet', 'timeoutSeconds']);
  });
});

describe('a probe stays as it is', () => {
  const left: Readonly<Record<string, Handler>> = {
    'when it runs a command': { exec: { command: ['true'] } },
    'when it asks another host': { httpGet: { path: '/', port: 8080, host: '10.0.0.1' } },
    'when it connects to another host': { tcpSocket: { port: 8080, host: 'db.example' } },
    'when it names a port that its container does not have, so that the kubelet says so': {
      tcpSocket: { port: 'none' },
    },
    'when it carries a header that cannot be sent': {
      httpGet: { port: 8080, httpHeaders: [{ name: 'X', value: 'a\r\nY: b' }] },
    },
  };
  for (const [sentence, probe] of Object.entries(left)) {
    test(sentence, () => {
      const { moved, replay } = moveProbe(probe);
      assert.deepEqual(moved, probe);
      assert.equal(replay, undefined);
    });
  }

  test('when its port is excluded', () => {
    const pod = withMetadata(withApp(job, { readinessProbe: { tcpSocket: { port: 9090 } } }), {
      annotations: { 'sallyport.dev/exclude-ports': '9090' },
    });
    assert.deepEqual(readReplays(expectPatched(pod, { namespace: allow({ excludePorts: [9090] }) }).pod), []);
  });
});

describe('whose probes', () => {
  const kinds = (name: 'deployment' | 'stateful-set' | 'daemon-set'): readonly string[] =>
    readReplays(expectPatched(readRecorded(name)).pod).map(({ path, kind, port }) =>
      [path.split('/').slice(2, 4).join('/'), kind, port].join(' '),
    );

  test('all sorts of an app’s, and its HTTP hooks', () => {
    assert.deepEqual(kinds('deployment'), [
      'app/startup tcp 8080',
      'app/readiness http 8080',
      'app/liveness http 8080',
      'app/poststart http 8080',
    ]);
    assert.deepEqual(kinds('stateful-set'), [
      'broker/readiness http 8443',
      'broker/liveness grpc 9000',
      'broker/prestop http 8443',
    ]);
  });

  test('those of native sidecars of others', () => {
    assert.deepEqual(kinds('daemon-set'), ['log-shipper/startup http 2020', 'log-shipper/liveness http 2020']);
  });

  test('a hook may take as long as the grace period', () => {
    const replays = readReplays(expectPatched(readRecorded('stateful-set')).pod);
    assert.equal(replays.at(-1)?.timeoutMs, 600_000);
  });

  test('each path ends in 128 bits of its own', () => {
    const replays = readReplays(expectPatched(readRecorded('deployment')).pod);
    const tokens = replays.map(({ path }) => path.split('/').at(-1));
    assert.equal(new Set(tokens).size, replays.length);
    assert.ok(tokens.every(token => /^[0-9a-f]{32}$/.test(token ?? '')));
  });
});

describe('a probe is refused', () => {
  test('on a port of the sidecar', () => {
    const pod = withApp(job, { livenessProbe: { httpGet: { path: '/readyz', port: 15191 } } });
    assert.deepEqual(expectRefused(pod), [
      'spec.containers[0].livenessProbe: names port 15191, which is the sidecar’s own; write the port of the app',
    ]);
  });

  test('that was moved in a pod whose sidecar is gone, since nobody knows any more what it was', () => {
    const { pod } = expectPatched(readRecorded('deployment'));
    const copy = withSpec(pod, { initContainers: [], volumes: [] });
    assert.match(expectRefused(copy).join('\n'), /spec\.containers\[0\]\.startupProbe: names port 15191/);
  });

  test('when all of them are too long for an argument', () => {
    const httpHeaders = Array.from({ length: 100 }, (_, index) => ({ name: `X-${index}`, value: 'a'.repeat(2000) }));
    const pod = withApp(job, { livenessProbe: { httpGet: { port: 8080, httpHeaders } } });
    assert.match(expectRefused(pod).join(), /too many or too long probes/);
  });
});

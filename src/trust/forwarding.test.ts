import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ClientTrustSpec } from '../api/kinds/material.ts';
import { createAuthority, type Authority } from '../demo/pki.ts';
import type { HeaderFields } from '../http/head.ts';
import { SILENT } from '../telemetry/telemetry.ts';
import { createTrust, type Peer, type PresentedCertificate, type TrustView } from './trust.ts';

const NOW = Date.now();
const GATEWAY = 'spiffe://mesh/gateway';

const devices = createAuthority({ name: 'devices' });
const mesh = createAuthority({ name: 'mesh' });
const robot = devices.issue({ subject: 'robot-7' });
const gateway = mesh.issue({ subject: 'gateway', san: { uri: [GATEWAY] } });

type Certificate = { readonly der: Uint8Array };
const own = ({ der }: Certificate): PresentedCertificate => ({ chain: [der], from: 'tls', memo: {} });
const forwarded = ({ der }: Certificate) => `:${Buffer.from(der).toString('base64')}:`;

function headers(...fields: readonly (readonly [string, string])[]): HeaderFields {
  return {
    names: fields.map(([name]) => name),
    lower: fields.map(([name]) => name.toLowerCase()),
    values: fields.map(([, value]) => value),
  };
}

interface Options {
  readonly acceptAddressTrust?: boolean;
  readonly tls?: boolean;
  readonly meshAnchors?: readonly Authority[];
}

function createView({ acceptAddressTrust = false, tls = true, meshAnchors = [mesh] }: Options = {}): TrustView {
  const spec = (key: string, sources: ClientTrustSpec['sources']): ClientTrustSpec => ({
    anchors: [{ configMapKeyRef: { name: 'ca', key } }],
    partialChain: false,
    maxDepth: 5,
    validity: { notBefore: true, notAfter: true },
    sources,
  });
  const header = { name: 'Client-Cert', format: 'RFC9440', acceptAddressTrust } as const;
  const plan = (key: string, of: ClientTrustSpec) => [key, { key, namespace: 'ns', generation: 1, spec: of }] as const;
  const bytes = (authorities: readonly Authority[]) =>
    new TextEncoder().encode(authorities.map(({ certificatePem }) => certificatePem).join(''));
  const anchors = new Map([
    ['devices', bytes([devices])],
    ['mesh', bytes(meshAnchors)],
  ]);
  const trust = createTrust({ log: SILENT.log, metrics: SILENT.metrics, clock: () => NOW });
  return trust.prepare(
    new Map([
      plan('devices', spec('devices', [...(tls ? [{ tls: {} }] : []), { header }])),
      plan('gateways', spec('mesh', [{ tls: {} }])),
    ]),
    { configMap: () => anchors, secret: () => undefined },
  );
}

const trustedPeers = [{ identity: GATEWAY, trust: 'gateways' }];

function peerOf(view: TrustView, certificate: Certificate | undefined, byAddress = false): Peer {
  const handshake = certificate === undefined ? undefined : own(certificate);
  return { own: handshake, byAddress, ...view.proveIdentity(trustedPeers, handshake, NOW) };
}

function answer(view: TrustView, peer: Peer, fields: HeaderFields): string {
  const evidence = view.judgeRequest('devices', fields, peer, NOW);
  return evidence.state === 'verified'
    ? (evidence.certificate.subject['CN'] ?? '')
    : 'reason' in evidence
      ? `${evidence.state} ${evidence.reason}`
      : evidence.state;
}

const ROBOT = headers(['Client-Cert', forwarded(robot)]);

describe('judgeRequest', () => {
  test('a device that speaks for itself is judged by its handshake', () => {
    const view = createView();
    assert.equal(answer(view, peerOf(view, robot), headers()), 'robot-7');
    assert.equal(answer(view, peerOf(view, undefined), headers()), 'absent');
  });

  test('a forwarded certificate counts from a peer that proved its identity', () => {
    const view = createView();
    assert.deepEqual(peerOf(view, gateway).provedBy, ['gateways']);
    assert.equal(answer(view, peerOf(view, gateway), ROBOT), 'robot-7');
  });

  test('the chain is verified here again', () => {
    const view = createView();
    const stranger = createAuthority({ name: 'devices' }).issue({ subject: 'robot-7' });
    const fields = headers(['Client-Cert', forwarded(stranger)]);
    assert.equal(answer(view, peerOf(view, gateway), fields), 'refused ClientCertificateUntrusted');
    assert.equal(
      answer(view, peerOf(view, gateway), headers(['Client-Cert', 'x'])),
      'refused ClientCertificateUntrusted',
    );
  });

  const nobodies: Record<string, (view: TrustView) => Peer> = {
    'without a certificate': view => peerOf(view, undefined),
    'known by address alone': view => peerOf(view, undefined, true),
    'with a certificate of the mesh but another identity': view =>
      peerOf(view, mesh.issue({ subject: 'x', san: { uri: [`${GATEWAY}/x`] } })),
    'with the identity from another authority': view =>
      peerOf(view, createAuthority({ name: 'mesh' }).issue({ subject: 'x', san: { uri: [GATEWAY] } })),
  };
  for (const [what, make] of Object.entries(nobodies)) {
    test(`a forwarded certificate does not count from a peer ${what}, and is stripped`, () => {
      const view = createView();
      assert.notEqual(answer(view, make(view), ROBOT), 'robot-7');
      assert.ok(view.strippedHeaders(make(view)).has('client-cert'));
    });
  }

  test('a device cannot speak for another device', () => {
    const view = createView();
    const fields = headers(['Client-Cert', forwarded(devices.issue({ subject: 'robot-8' }))]);
    assert.equal(answer(view, peerOf(view, robot), fields), 'robot-7');
  });

  test('an identity proved by an authority of the devices does not count, and is no device either', () => {
    const view = createView({ meshAnchors: [devices, mesh] });
    const fields = headers(['Client-Cert', forwarded(robot)]);
    const posing = devices.issue({ subject: 'robot-8', san: { uri: [GATEWAY] } });
    assert.deepEqual(peerOf(view, posing).provedBy, ['gateways']);
    assert.equal(answer(view, peerOf(view, posing), fields), 'absent');
    assert.equal(answer(view, peerOf(view, gateway), fields), 'absent');
  });

  test('acceptAddressTrust lets an address forward', () => {
    const view = createView({ acceptAddressTrust: true });
    assert.equal(answer(view, peerOf(view, undefined, true), ROBOT), 'robot-7');
    assert.equal(answer(view, peerOf(view, undefined, false), ROBOT), 'absent');
    assert.ok(!view.strippedHeaders(peerOf(view, undefined, true)).has('client-cert'));
  });

  test('from a peer that forwards, its own certificate is never a device’s, header or not', () => {
    const view = createView({ acceptAddressTrust: true });
    assert.equal(answer(view, peerOf(view, robot, true), headers()), 'absent');
    const other = headers(['Client-Cert', forwarded(devices.issue({ subject: 'robot-9' }))]);
    assert.equal(answer(view, peerOf(view, robot, true), other), 'robot-9');
  });

  test('without a tls source the handshake does not count', () => {
    const view = createView({ tls: false });
    assert.equal(answer(view, peerOf(view, robot), headers()), 'absent');
  });

  test('while nobody can say whether the peer is a gateway, it is 503', () => {
    const view = createView({ meshAnchors: [] });
    assert.equal(answer(view, peerOf(view, gateway), ROBOT), 'undecided KeysUnavailable');
  });

  test('the same header text is validated once: its memo is the same', () => {
    const view = createView();
    const peer = peerOf(view, gateway);
    assert.equal(view.findPresented('devices', ROBOT, peer), view.findPresented('devices', ROBOT, peer));
  });
});

describe('headers of forwarded certificates', () => {
  test('the standard ones are stripped from everybody, those of a source from whoever does not count', () => {
    const view = createView();
    const all = ['client-cert', 'client-cert-chain', 'x-forwarded-client-cert'];
    assert.deepEqual([...view.forwardedHeaders].sort(), all);
    assert.deepEqual([...view.strippedHeaders(peerOf(view, robot))].sort(), all);
    assert.deepEqual([...view.strippedHeaders(peerOf(view, gateway))], ['x-forwarded-client-cert']);
  });
});

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileYaml, listViolations } from './testing/compile-yaml.ts';

const api = (spec = '', name = 'db'): string => `
kind: Api
metadata: {name: ${name}}
spec: {podSelector: {matchLabels: {app: fleet}}, port: 5432, protocol: TCP${spec}}
---
`;
const policy = (steps: string, more = ''): string => `
kind: AuthPolicy
metadata: {name: p}
spec: {request: [${steps}]${more}}
---
`;
const TRUST = `
kind: ClientTrust
metadata: {name: devices}
spec: {anchors: [{configMapKeyRef: {name: ca, key: ca.crt}}]}
---
`;
const OPEN = '{name: open, anyOf: [{anonymous: {}}]}';
const CERT = '{name: cert, clientCertificate: {trust: devices}}';

const compile = (text: string) => compileYaml(TRUST + text, { source: 'files' }).snapshot;
const outcome = (text: string): string => {
  const match = compile(text).listeners.get(5432)?.match('', '', '/');
  if (match === undefined) return 'no listener';
  return match.kind === 'matched' ? 'served' : match.reason;
};

describe('protocol: TCP (M6)', () => {
  const served: Readonly<Record<string, string>> = {
    clientCertificate: api() + policy(CERT),
    'an explicit anonymous': api() + policy(OPEN),
    'anyOf of the two': api() + policy('{name: a, anyOf: [{clientCertificate: {trust: devices}}, {anonymous: {}}]}'),
    'ipFilter beside them': api() + policy(`{name: ip, ipFilter: {allow: [10.0.0.0/8]}}, ${OPEN}`),
    'no policy at all, which denies at run time (S7)': api(),
    'response steps, which have nothing to do': api() + policy(OPEN, ', response: [{name: hide, hideBackend: {}}]'),
  };
  for (const [what, text] of Object.entries(served)) {
    it(`is served with ${what}`, () => {
      assert.equal(outcome(text), 'served');
      assert.deepEqual(listViolations(compile(text)), []);
    });
  }

  const refused: Readonly<Record<string, string>> = {
    authorize: '{name: x, authorize: {deny: [{expression: "false"}]}}',
    respond: '{name: x, respond: {status: 410}}',
    rateLimit: '{name: x, rateLimit: {calls: 1, period: 1s}}',
    setHeaders: '{name: x, setHeaders: [{name: X-A, value: a}]}',
    'anyOf with a subscription': '{name: x, anyOf: [{subscription: {}}, {anonymous: {}}]}',
  };
  for (const [what, step] of Object.entries(refused)) {
    it(`is refused with ${what}, which is not skipped, and says whose step it is (S6)`, () => {
      const text = api() + policy(`${OPEN}, ${step}`);
      assert.equal(outcome(text), 'PolicyInvalid');
      assert.deepEqual(listViolations(compile(text)), [
        'Api shop/db spec.protocol: TCP has no requests, so the step "x" of AuthPolicy shop/p cannot judge it, ' +
          'target that policy at other Apis; TCP takes clientCertificate, ipFilter, concurrency and anyOf of clientCertificate and anonymous',
      ]);
    });
  }

  it('is refused with a credential that is a header', () => {
    const credential = `
kind: BackendCredential
metadata: {name: key}
spec: {header: {name: x-key, value: {secretKeyRef: {name: a, key: k}}}}
---
`;
    const text = api() + credential + policy(OPEN, ', backend: {credential: key}');
    assert.equal(outcome(text), 'PolicyInvalid');
    assert.match(listViolations(compile(text)).join(), /TCP has no headers, so the BackendCredential shop\/key/);
  });

  it('tells the listener, and TLS that no protocol is negotiated', () => {
    const plain = compile(api() + policy(OPEN)).listeners.get(5432);
    assert.equal(plain?.protocol, 'TCP');
    const secure = compile(api(', tls: {certificate: {secretName: cert}}') + policy(CERT)).listeners.get(5432);
    assert.equal(secure?.tls?.opaque, true);
    assert.deepEqual(secure.tls.clientTrusts, ['shop/devices']);
  });

  it('does not share a port with HTTP (M5)', () => {
    const http = `
kind: Api
metadata: {name: web}
spec: {podSelector: {matchLabels: {app: fleet}}, port: 5432}
---
`;
    const text = api() + http + policy(OPEN);
    assert.match(listViolations(compile(text)).join('\n'), /Api shop\/web spec.protocol: differs from Api shop\/db/);
  });
});

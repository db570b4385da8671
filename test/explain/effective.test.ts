/** `explain --effective`, preflights and named values: what explain shows of the flow steps, and what it never shows. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { runProgram } from '../../src/cli/commands.ts';

const CANARY = 'canary-named-value-8812';
const MANIFESTS = `
apiVersion: v1
kind: Secret
metadata: {name: named, namespace: shop}
stringData: {key: ${CANARY}, password: ${CANARY}-password}
---
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: orders, namespace: shop}
spec:
  podSelector: {matchLabels: {app: orders}}
  port: 8080
  operations: [{name: read, methods: [GET], path: /a}, {name: write, methods: [PUT], path: /a}]
---
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: basic, namespace: shop}
spec: {basic: {username: {value: a}, password: {secretKeyRef: {name: named, key: password}}}}
---
apiVersion: sallyport.dev/v1alpha1
kind: ClusterAuthPolicy
metadata: {name: baseline}
spec:
  sealed: false
  request: [{name: browsers, cors: {allowOrigins: ["https://a.example"], allowMethods: [PUT]}}]
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: orders, namespace: shop}
spec:
  targetRefs: [{kind: Api, name: orders}]
  variables: {key: {secretKeyRef: {name: named, key: key}}}
  request:
  - {name: open, anyOf: [{anonymous: {}}]}
  - {name: copy, setVariables: {copied: "\${vars.key}-\${request.method}"}}
  - name: by-method
    choose:
      when: [{condition: "request.method == 'GET'", steps: [{name: reading, setHeaders: [{name: x-key, value: "\${vars.copied}"}]}]}]
      otherwise: [{name: writing, authorize: {deny: [{expression: "vars.copied.endsWith('PUT')"}]}}]
  backend: {credential: basic}
`;

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'effective-'));
  await writeFile(join(folder, 'all.yaml'), MANIFESTS);
});
after(() => rm(folder, { recursive: true, force: true }));

async function explain(...argv: readonly string[]) {
  let stdout = '';
  let stderr = '';
  const io = {
    stdout: { write: (text: string) => void (stdout += text) },
    stderr: { write: (text: string) => void (stderr += text) },
    isTTY: false,
    columns: 80,
    env: {},
    cwd: folder,
    program: ['node', 'sallyport'],
  };
  const code = await runProgram(['explain', 'all.yaml', ...argv], io, {
    signal: new AbortController().signal,
    version: '0',
  });
  assert.equal((stdout + stderr).includes('canary'), false, 'a named value is shown');
  return { code, stdout, stderr };
}

suite('explain --effective', () => {
  test('shows the steps of every operation in their order, where each comes from, and what the app gets', async () => {
    const { code, stdout, stderr } = await explain('--effective');
    assert.deepEqual([code, stderr], [0, '']);
    assert.equal(
      stdout,
      `Api shop/orders  read (/a), write (/a)
PART     SCOPE    POLICY/STEP            TYPE          NOTE
request  Cluster  baseline/browsers      cors          unsealed
request  Api      shop/orders/open       anyOf
request  Api      shop/orders/copy       setVariables
request  Api      shop/orders/by-method  choose
request  Api      shop/orders/reading    setHeaders    in by-method when[0]
request  Api      shop/orders/writing    authorize     in by-method otherwise
The app gets the header of shop/basic, no Authorization of the client.
`,
    );
  });

  test('is JSON for programs', async () => {
    const { stdout } = await explain('--effective', '-o', 'json');
    const [group] = JSON.parse(stdout) as readonly Record<string, unknown>[];
    assert.deepEqual(group?.['operations'], [
      { operation: 'read', template: '/a' },
      { operation: 'write', template: '/a' },
    ]);
    assert.deepEqual(group['credentials'], { header: 'shop/basic' });
    assert.deepEqual(
      (group['steps'] as readonly Record<string, unknown>[]).map(({ step }) => step),
      ['browsers', 'open', 'copy', 'by-method', 'reading', 'writing'],
    );
  });

  test('needs no request, and a request without it is still needed', async () => {
    const { code, stderr } = await explain();
    assert.deepEqual([code, stderr], [64, "sallyport explain: needs --request 'METHOD URL', or --effective\n"]);
  });
});

suite('explain of flow steps', () => {
  test('a branch, what a variable made of it, and the credential, without any value', async () => {
    const { code, stdout } = await explain('--request', 'GET http://orders/a');
    assert.equal(code, 0, stdout);
    assert.match(stdout, /by-method .* passed .* when\[0\] is true/);
    assert.match(stdout, /writing .* skipped .* its branch was not chosen/);
    assert.match(stdout, /x-key: set, 27 characters/);
    assert.match(stdout, /the header of shop\/basic/);
    assert.match(
      (await explain('--request', 'PUT http://orders/a')).stdout,
      /Deny 403 AuthorizationDenied by orders\/writing/,
    );
  });

  test('a preflight is matched as what it asks for and answered by the cors step', async () => {
    const preflight = ['--request', 'OPTIONS http://orders/a', '-H', 'Access-Control-Request-Method: PUT', '-H'];
    const { code, stdout } = await explain(...preflight, 'Origin: https://a.example');
    assert.equal(code, 0, stdout);
    assert.match(stdout, /operation write .*\n[^]*Respond 204 by baseline\/browsers/);
    const ordinary = await explain('--request', 'OPTIONS http://orders/a', '-H', 'Origin: https://a.example');
    assert.match(ordinary.stdout, /OperationNotFound/);
  });
});

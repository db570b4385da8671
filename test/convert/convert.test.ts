/** Policy documents as users write them, converted; what comes out is what `check` accepts. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { convertPolicy } from '../../src/convert/convert.ts';
import { renderConverted } from '../../src/convert/render.ts';
import { runProgram } from '../../src/cli/commands.ts';
import type { Io } from '../../src/cli/io.ts';

const documents = new URL('documents/', import.meta.url);
const read = (name: string): Promise<string> => readFile(new URL(name, documents), 'utf8');

for (const name of ['fleet', 'management', 'orders']) {
  test(`${name}.xml becomes ${name}.yaml, notes included`, async () => {
    const converted = convertPolicy(await read(`${name}.xml`), { name, namespace: 'shop', target: { api: 'fleet' } });
    assert.equal(renderConverted(converted, `${name}.xml`), await read(`${name}.yaml`));
  });
}

const API = `
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: fleet, namespace: shop}
spec:
  podSelector: {matchLabels: {app: fleet}}
  port: 8080
  operations: [{name: telemetry, methods: [POST], path: "/devices/{deviceId}/telemetry"}]
`;

for (const name of ['fleet', 'management', 'orders']) {
  test(`what ${name}.xml becomes has no error`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sallyport-convert-'));
    try {
      await writeFile(join(folder, 'policy.yaml'), `${await read(`${name}.yaml`)}---${API}`);
      const { code, out } = await run(['check', join(folder, 'policy.yaml')]);
      assert.equal(code, 0, out);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
}

async function run(argv: readonly string[], stdin?: string) {
  let out = '';
  let err = '';
  const io: Io = {
    stdout: { write: text => (out += text) },
    stderr: { write: text => (err += text) },
    ...(stdin === undefined ? {} : { stdin: () => Promise.resolve(stdin) }),
    isTTY: false,
    columns: 80,
    env: {},
    cwd: process.cwd(),
  };
  const code = await runProgram(argv, io, { signal: new AbortController().signal, version: '0' });
  return { code, out, err };
}

const inbound = (body: string): string => `<policies>\n<inbound>\n<base/>\n${body}\n</inbound>\n</policies>`;
const convert = (body: string) => convertPolicy(inbound(body), { name: 'p', target: { scope: 'namespace' } });
const text = (body: string): string => JSON.stringify(convert(body).objects.at(-1));

/** Each must deny until a person has looked, and say on which line. */
const CLOSED: Readonly<Record<string, string>> = {
  'unsigned tokens':
    '<validate-jwt header-name="Authorization" require-signed-tokens="false"><openid-config url="https://a.example/x"/></validate-jwt>',
  'an address from an expression': '<ip-filter action="allow"><address>@(context.Variables["a"])</address></ip-filter>',
  'a fragment': '<include-fragment fragment-id="auth" />',
  'a condition that cannot be read':
    '<choose><when condition="@(context.Deployment.Region == "x")"><return-response><set-status code="403" /></return-response></when></choose>',
  'a request that is no device check':
    '<send-request response-variable-name="x"><set-url>https://a.example/</set-url><set-method>GET</set-method></send-request>',
  'a check that is tried again':
    '<retry condition="@(false)" count="1" interval="1"><check-header name="X-Env"><value>a</value></check-header></retry>',
  'checks that are waited for':
    '<wait for="all"><choose><when condition="@(true)"><return-response><set-status code="403" /></return-response></when></choose></wait>',
  'a policy in other letters': '<Ip-Filter action="allow"><address>203.0.113.7</address></Ip-Filter>',
  'a policy that nobody knows': '<mystery-auth />',
  'a policy of OData': '<validate-odata-request />',
  'a quota longer than a day': '<quota calls="10" renewal-period="2592000" />',
  'a certificate whose errors are ignored': '<validate-client-certificate ignore-error="true" />',
};

for (const [what, body] of Object.entries(CLOSED)) {
  test(`${what} stays closed, named with its line`, () => {
    const { notes } = convert(body);
    assert.match(text(body), /"deny":\[\{"name":"not-converted-line-4","expression":"true"/);
    assert.ok(notes.some(({ line, severity }) => line === 4 && severity === 'lost'));
  });
}

test('a second inbound section counts like the first', () => {
  const twice =
    '<policies><inbound><base/></inbound><inbound><ip-filter action="allow"><address>203.0.113.7</address></ip-filter></inbound></policies>';
  assert.match(
    JSON.stringify(convertPolicy(twice, { name: 'p', target: { scope: 'namespace' } }).objects),
    /"ipFilter"/,
  );
});

const ELSEWHERE: Readonly<Record<string, string>> = {
  'a section in other letters':
    '<policies><Inbound><ip-filter action="allow"><address>203.0.113.7</address></ip-filter></Inbound></policies>',
  'a check in the backend section':
    '<policies><backend><ip-filter action="allow"><address>203.0.113.7</address></ip-filter></backend></policies>',
  'a policy written as text': '<policies><inbound><![CDATA[<ip-filter action="allow"/>]]></inbound></policies>',
};

for (const [what, document] of Object.entries(ELSEWHERE)) {
  test(`${what} stays closed, and says so`, () => {
    const { objects, notes } = convertPolicy(document, { name: 'p', target: { scope: 'namespace' } });
    assert.match(JSON.stringify(objects.at(-1)), /"deny":\[\{"name":"not-converted-line-1","expression":"true"/);
    assert.ok(notes.some(({ severity }) => severity === 'lost'));
  });
}

test('a literal ${…} of the document does not become a live template', () => {
  assert.match(text('<set-variable name="a" value="${jwt.claims.x}" />'), /"a":"\$\$\{jwt\.claims\.x\}"/);
});

test('what only transforms is named and left out', () => {
  const { notes, objects } = convert('<set-body>{}</set-body><cache-lookup vary-by-developer="false" />');
  assert.deepEqual(
    notes.map(({ element }) => element),
    ['set-body', 'cache-lookup'],
  );
  assert.deepEqual(objects.at(-1)?.['spec'], {});
});

test('the value of a password never comes out', () => {
  const converted = convert('<authentication-basic username="u" password="hunter2" />');
  assert.doesNotMatch(renderConverted(converted, 'p.xml'), /hunter2/);
  assert.match(renderConverted(converted, 'p.xml'), /put the password that the document holds into a Secret p-basic/);
});

test('base at the end is After, none is None', () => {
  const after = convertPolicy(
    '<policies><inbound><rate-limit calls="1" renewal-period="1"/><base/></inbound></policies>',
    { name: 'p', target: { scope: 'namespace' } },
  );
  assert.match(JSON.stringify(after.objects), /"inherit":"After"/);
  const none = convertPolicy('<policies><inbound><rate-limit calls="1" renewal-period="1"/></inbound></policies>', {
    name: 'p',
    target: { scope: 'namespace' },
  });
  assert.match(JSON.stringify(none.objects), /"inherit":"None"/);
});

test('a cluster policy names what stands beside it by namespace', () => {
  const { objects } = convertPolicy(
    inbound(
      '<validate-jwt header-name="Authorization"><openid-config url="https://a.example/x"/><audiences><audience>a</audience></audiences></validate-jwt>',
    ),
    { name: 'global', namespace: 'sallyport-system', target: { scope: 'cluster' } },
  );
  assert.equal(objects.at(-1)?.['kind'], 'ClusterAuthPolicy');
  assert.match(JSON.stringify(objects.at(-1)), /"issuers":\["sallyport-system\/global"\]/);
});

test('the command prints manifests, names what is lost, and exits 1 for it', async () => {
  const { code, out, err } = await run(
    ['convert', '-', '--name', 'p', '--api', 'fleet/telemetry'],
    inbound('<set-method>GET</set-method>'),
  );
  assert.equal(code, 1);
  assert.match(out, /sectionName: telemetry/);
  assert.equal(err, '-:4: <set-method>: not converted: methods are forwarded as they were judged\n');
});

test('the command refuses what is no policy document, with its line', async () => {
  assert.deepEqual(await run(['convert', '-'], '<a>\n<b></a>'), {
    code: 1,
    out: '',
    err: '-:2: Missing end tag for element b\n',
  });
  assert.equal(
    (await run(['convert', '-'], '<html/>')).err,
    '-:1: the root is <html>; a policy document begins with <policies>\n',
  );
});

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { BackendCredentialSpec } from '../api/kinds/credential.ts';
import { createAuthority, type IssuedCertificate } from '../demo/pki.ts';
import { EMPTY_MATERIAL, type Material } from '../material/material.ts';
import type { CredentialPlan } from '../policy/model.ts';
import type { Log } from '../telemetry/telemetry.ts';
import { createCredentials, type CredentialsOptions, type CredentialView } from './credentials.ts';
import { readPair } from './key-pair.ts';
import { createWatchFiles } from './watch-files.ts';

const authority = createAuthority({ name: 'Mesh CA' });
const first = authority.issue({ subject: 'first' });
const second = authority.issue({ subject: 'second' });

const plansOf = (spec: BackendCredentialSpec): Map<string, CredentialPlan> =>
  new Map([['shop/mesh', { key: 'shop/mesh', namespace: 'shop', generation: 1, spec }]]);
const FILES: BackendCredentialSpec = { meshCertificate: { files: { certificate: 'tls.crt', key: 'tls.key' } } };
const SECRET: BackendCredentialSpec = { meshCertificate: { secretName: 'apim' } };
const MANAGED: BackendCredentialSpec = { meshCertificate: { managed: { lifetime: 1 } } };

const secretOf = (data: Record<string, string> | undefined): Material => ({
  ...EMPTY_MATERIAL,
  secret: key =>
    data === undefined || key !== 'shop/apim'
      ? undefined
      : new Map(Object.entries(data).map(([name, text]) => [name, Buffer.from(text)])),
});
const tlsSecret = (issued: IssuedCertificate): Material =>
  secretOf({ 'tls.crt': issued.chainPem, 'tls.key': issued.keyPem });

interface Scene {
  readonly files: Map<string, string>;
  readonly lines: string[];
  changes: number;
  /** What a watcher of the files would call. */
  touch: () => void;
  prepare(spec: BackendCredentialSpec, material?: Material): CredentialView;
}

function open(options: Partial<CredentialsOptions> = {}): Scene {
  const lines: string[] = [];
  const note: Log['info'] = (fields, message) => void lines.push(`${message} ${JSON.stringify(fields)}`);
  const credentials = createCredentials({
    readFile: path => {
      const text = scene.files.get(path);
      if (text === undefined) throw new Error('ENOENT');
      return Buffer.from(text);
    },
    watch: (_, onChange) => {
      scene.touch = onChange;
      return () => undefined;
    },
    log: { debug: note, info: note, warn: note, error: note },
    onChange: () => {
      scene.changes += 1;
    },
    ...options,
  });
  const scene: Scene = {
    files: new Map(),
    lines,
    changes: 0,
    touch: () => undefined,
    prepare: (spec, material = EMPTY_MATERIAL) => credentials.prepare(plansOf(spec), material),
  };
  return scene;
}
const write = ({ files }: Scene, { chainPem, keyPem }: Pick<IssuedCertificate, 'chainPem' | 'keyPem'>): void => {
  files.set('tls.crt', chainPem).set('tls.key', keyPem);
};
const inForce = (view: CredentialView): string | undefined => view.clientCertificate('shop/mesh')?.sha256;

test('a pair in files is handed out with its thumbprints and its end', () => {
  const scene = open();
  write(scene, first);
  const view = scene.prepare(FILES);
  const { sha1, sha256 } = first;
  assert.deepEqual(view.clientCertificate('shop/mesh'), {
    certificate: first.chainPem,
    key: first.keyPem,
    sha1,
    sha256,
    notAfter: view.status()[0]?.certificate?.notAfter,
  });
  assert.equal(view.clientCertificate('shop/other'), undefined);
  assert.equal(scene.changes, 0);
});

test('the managed certificate is the one given to the sidecar, and is missing without one', () => {
  const scene = open({ meshCertificate: { certificateFile: 'tls.crt', keyFile: 'tls.key' } });
  write(scene, first);
  assert.equal(inForce(scene.prepare(MANAGED)), first.sha256);
  const bare = open().prepare(MANAGED);
  assert.equal(inForce(bare), undefined);
  assert.deepEqual(bare.status(), [{ key: 'shop/mesh', from: 'managed', problem: 'MISSING' }]);
});

test('a new pair in the files is told, and comes into force with the next view', () => {
  const scene = open();
  write(scene, first);
  const before = scene.prepare(FILES);
  write(scene, second);
  scene.touch();
  assert.equal(scene.changes, 1);
  assert.equal(inForce(before), first.sha256);
  assert.equal(inForce(scene.prepare(FILES)), second.sha256);
  scene.touch();
  assert.equal(scene.changes, 1);
});

for (const [sentence, [content, problem]] of Object.entries<[Partial<Record<'tls.crt' | 'tls.key', string>>, string]>({
  'the certificate is written and the key is not yet': [{ 'tls.crt': second.chainPem }, 'KEY_DOES_NOT_MATCH'],
  'the key is written and the certificate is not yet': [{ 'tls.key': second.keyPem }, 'KEY_DOES_NOT_MATCH'],
  'the certificate is cut off': [{ 'tls.crt': first.chainPem.slice(0, 200) }, 'BAD_CERTIFICATE'],
  'the certificate is empty': [{ 'tls.crt': '' }, 'BAD_CERTIFICATE'],
  'the certificate is garbage between its lines': [
    { 'tls.crt': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' },
    'BAD_CERTIFICATE',
  ],
  'the key is cut off': [{ 'tls.key': first.keyPem.slice(0, 60) }, 'BAD_KEY'],
  'the key is empty': [{ 'tls.key': '' }, 'BAD_KEY'],
})) {
  test(`the last good pair stays in force while ${sentence}`, () => {
    const scene = open();
    write(scene, first);
    scene.prepare(FILES);
    for (const [name, text] of Object.entries(content)) scene.files.set(name, text);
    scene.touch();
    const view = scene.prepare(FILES);
    assert.equal(inForce(view), first.sha256);
    assert.equal(view.status()[0]?.problem, problem);
    assert.equal(scene.changes, 0);
    write(scene, second);
    scene.touch();
    assert.equal(scene.changes, 1);
    assert.deepEqual(scene.prepare(FILES).status()[0]?.problem, undefined);
  });
}

test('files that are missing at first are read when they come', () => {
  const scene = open();
  assert.equal(inForce(scene.prepare(FILES)), undefined);
  write(scene, first);
  scene.touch();
  assert.equal(scene.changes, 1);
  assert.equal(inForce(scene.prepare(FILES)), first.sha256);
});

test('a Secret is read at each view; a broken one leaves the last good pair, a missing one leaves none', () => {
  const scene = open();
  assert.equal(inForce(scene.prepare(SECRET, tlsSecret(first))), first.sha256);
  const broken = secretOf({ 'tls.crt': second.chainPem, 'tls.key': first.keyPem });
  for (let i = 0; i < 2; i++) {
    const view = scene.prepare(SECRET, broken);
    assert.equal(inForce(view), first.sha256);
    assert.equal(view.status()[0]?.problem, 'KEY_DOES_NOT_MATCH');
  }
  assert.equal(inForce(scene.prepare(SECRET, tlsSecret(second))), second.sha256);
  for (const missing of [secretOf(undefined), secretOf({ 'tls.crt': first.chainPem })]) {
    assert.equal(inForce(scene.prepare(SECRET, missing)), undefined);
  }
  assert.equal(inForce(scene.prepare(SECRET, broken)), undefined);
});

test('every certificate of the bundle must be readable, and a bundle of more than 64 KiB is none', () => {
  const intermediate = authority.createIntermediate({ name: 'Sub CA' });
  const issued = intermediate.issue({ subject: 'leaf' });
  const reading = readPair(issued.chainPem, issued.keyPem);
  assert.ok('pair' in reading && reading.pair.sha256 === issued.sha256);
  const garbage = `${issued.chainPem}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`;
  assert.deepEqual(readPair(garbage, issued.keyPem), { problem: 'BAD_CERTIFICATE' });
  assert.deepEqual(readPair(issued.chainPem + ' '.repeat(65_536), issued.keyPem), { problem: 'BAD_CERTIFICATE' });
});

test('no key reaches the log or the status', () => {
  const scene = open();
  write(scene, first);
  scene.prepare(FILES);
  write(scene, { chainPem: first.chainPem, keyPem: second.keyPem });
  scene.touch();
  const told = scene.lines.join('\n') + JSON.stringify(scene.prepare(FILES).status());
  assert.ok(scene.lines.length >= 2);
  for (const { keyPem } of [first, second]) {
    for (const line of keyPem.split('\n').filter(text => text !== '')) assert.ok(!told.includes(line));
  }
});

async function makeFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-credentials-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test('a mounted Secret is watched through the link that Kubernetes swaps', async t => {
  const folder = await makeFolder(t);
  const fill = async (name: string, { chainPem, keyPem }: IssuedCertificate): Promise<void> => {
    await mkdir(join(folder, name));
    await writeFile(join(folder, name, 'tls.crt'), chainPem);
    await writeFile(join(folder, name, 'tls.key'), keyPem);
    await symlink(name, join(folder, '..data_tmp'));
    await rename(join(folder, '..data_tmp'), join(folder, '..data'));
  };
  await fill('..1', first);
  for (const name of ['tls.crt', 'tls.key']) await symlink(join('..data', name), join(folder, name));
  const changed = Promise.withResolvers<undefined>();
  const credentials = createCredentials({
    watch: createWatchFiles({ settleMs: 10 }),
    log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    onChange: () => changed.resolve(undefined),
  });
  t.after(() => credentials.close());
  const files = { certificate: join(folder, 'tls.crt'), key: join(folder, 'tls.key') };
  const plans = plansOf({ meshCertificate: { files } });
  assert.equal(inForce(credentials.prepare(plans, EMPTY_MATERIAL)), first.sha256);
  const alive = setInterval(() => undefined, 1000);
  t.after(() => clearInterval(alive));
  await fill('..2', second);
  await changed.promise;
  assert.equal(inForce(credentials.prepare(plans, EMPTY_MATERIAL)), second.sha256);
});

test('a folder that does not exist is looked at by time', async t => {
  const folder = join(await makeFolder(t), 'not-yet');
  const looked = Promise.withResolvers<undefined>();
  const stop = createWatchFiles({ everyMs: 5 })([join(folder, 'tls.crt')], () => looked.resolve(undefined));
  t.after(stop);
  const alive = setInterval(() => undefined, 1000);
  t.after(() => clearInterval(alive));
  await looked.promise;
});

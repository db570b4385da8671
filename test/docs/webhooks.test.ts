/** The guide to webhooks as a reader follows it: its manifests in front of an app, its commands in a shell. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { missProgram } from '../support/programs.ts';
import { RecordingApp } from '../support/servers.ts';
import { startSidecar } from '../support/sidecar.ts';
import { askOnce, sayAnswer } from '../support/table.ts';

const page = readFileSync(new URL('../../docs/guide/webhooks.md', import.meta.url), 'utf8');
const readBlocks = (language: string): readonly string[] =>
  Array.from(page.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm')), ([, block = '']) => block);

const skip = missProgram('openssl') !== false ? missProgram('openssl') : missProgram('curl');

test('what the guide signs with openssl and sends with curl passes, and nothing else does', { skip }, async t => {
  const app = await new RecordingApp().start();
  t.after(() => app.stop());
  const manifests = readBlocks('yaml').filter(block => block.includes('apiVersion:'));
  const sidecar = await startSidecar({
    // Its Api is at the port that the other tests have.
    manifests: { 'webhooks.yaml': manifests.join('---\n').replace('port: 8080', 'port: 8443') },
    labels: 'app=hooks',
    app: app.port,
  });
  t.after(() => sidecar.close());
  const [command = ''] = readBlocks('sh');
  const here = command.replace('127.0.0.1:8080', `127.0.0.1:${sidecar.port}`);
  assert.notEqual(here, command);
  const { stdout } = await promisify(execFile)('sh', ['-ec', here]);
  assert.match(stdout, /^HTTP\/1\.1 200 /);
  assert.equal(app.last.body, 'Hello, World!');
  const ask = { method: 'POST', path: '/hooks/github', body: 'Hello, World!' };
  assert.equal(sayAnswer(await askOnce(sidecar, ask)), '401 SignatureNotPresent');
});

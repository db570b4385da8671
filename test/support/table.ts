/**
 * One table, two doors: every row is asked of a running sidecar and of `explain`, by the same manifests, and both must say
 * the same.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { runProgram } from '../../src/cli/commands.ts';
import { type Answer, type Ask, openPlain, PUBLIC_HOST, renderAsk } from './connection.ts';
import { renderManifests, type Manifest } from './manifests.ts';
import { type Behaviour, RecordingApp, type Seen } from './servers.ts';
import { type Sidecar, startSidecar } from './sidecar.ts';

export interface Row {
  readonly ask: Ask;
  /** source.ip, told by a trusted hop. */
  readonly from?: string;
  /** `200`, or `403 AddressBlocked`. */
  readonly says: string;
  /** What explain says, where it cannot know what the sidecar remembers or what it is not told. */
  readonly offline?: string;
  /** Headers of the answer; null: it has none of that name. */
  readonly headers?: Readonly<Record<string, RegExp | null>>;
  /** Steps of Audit policies that would deny: `policy/step reason`. */
  readonly audit?: readonly string[];
  /** What the app got. */
  readonly app?: (seen: Seen) => void;
}

export interface Table {
  readonly manifests: readonly Manifest[];
  /** Asked in this order. */
  readonly rows: Readonly<Record<string, Row>>;
  readonly behaviour?: Behaviour;
}

/** Trusts the test itself to say who the client is. */
export const BEHIND_HOP = {
  trustedPeers: [{ cidr: '127.0.0.0/8' }],
  clientAddress: { from: 'ForwardedFor' },
} as const;

const headersOf = ({ ask, from }: Pick<Row, 'ask' | 'from'>): NonNullable<Ask['headers']> => [
  ...(from === undefined ? [] : [['X-Forwarded-For', from] as const]),
  ...(ask.headers ?? []),
];

export function testTable(name: string, { manifests, rows, behaviour }: Table): void {
  void describe(name, () => {
    const folder = { path: '' };
    let app: RecordingApp;
    let sidecar: Sidecar;
    before(async () => {
      folder.path = await mkdtemp(join(tmpdir(), 'sallyport-table-'));
      await writeFile(join(folder.path, 'all.yaml'), renderManifests(manifests));
      app = await new RecordingApp(behaviour).start();
      sidecar = await startSidecar({ manifests: { 'all.yaml': manifests }, app: app.port });
    });
    after(async () => {
      await sidecar.close();
      await app.stop();
      await rm(folder.path, { recursive: true });
    });
    for (const [sentence, row] of Object.entries(rows)) {
      void test(sentence, async () => {
        const seen = app.seen.length;
        const answer = await askOnce(sidecar, { ...row.ask, headers: headersOf(row) });
        assertAnswer(answer, row);
        assert.equal(app.seen.length > seen, row.app !== undefined || row.says === '200', 'whether the app was asked');
        row.app?.(app.last);
        if (row.audit !== undefined) await assertAudit(sidecar, answer, row.audit);
        const told = await explain(folder.path, row);
        assert.equal(told.verdict, row.offline ?? row.says, 'explain says another thing');
        if (row.offline === undefined) assert.deepEqual(told.audit, row.audit ?? []);
      });
    }
  });
}

/** On a connection of its own. */
export async function askOnce(sidecar: Pick<Sidecar, 'port'>, ask: Ask): Promise<Answer> {
  const connection = await openPlain(sidecar.port);
  try {
    connection.wire.send(renderAsk(ask));
    return await connection.readAnswer(ask.method);
  } finally {
    connection.close();
  }
}

export const sayAnswer = ({ status, reason }: Answer): string => `${status} ${reason}`.trim();

function assertAnswer(answer: Answer, { says, headers = {} }: Row): void {
  assert.equal(sayAnswer(answer), says, answer.head);
  for (const [name, pattern] of Object.entries(headers)) {
    const lines = answer.headers.get(name.toLowerCase());
    if (pattern === null) assert.equal(lines, undefined, name);
    else assert.match(lines?.join('\n') ?? `no ${name}`, pattern);
  }
}

async function assertAudit(sidecar: Sidecar, answer: Answer, wanted: readonly string[]): Promise<void> {
  // The app's answer does not carry the id; the newest line is about this request, since rows are asked one by one.
  const id = answer.headers.get('x-request-id')?.[0];
  const fits = (line: Readonly<Record<string, unknown>>) =>
    'verdict' in line && (id === undefined || line['requestId'] === id) && 'wouldDeny' in line;
  const line = await sidecar.line(
    `would deny ${wanted.join()}`,
    line => fits(line) && sayAudit(line) === wanted.join(),
  );
  assert.equal(sayAudit(line), wanted.join());
}

const sayAudit = ({ wouldDeny }: Readonly<Record<string, unknown>>): string =>
  (wouldDeny as readonly Readonly<Record<string, string>>[])
    .map(({ policy = '', step, reason }) => `${policy.replace(/^[^/]*\//, '')}/${step ?? ''} ${reason ?? ''}`)
    .join();

interface Told {
  readonly verdict: string;
  readonly audit: readonly string[];
}

/** What `explain` says of a request by the manifests of a folder. */
export async function explain(
  folder: string,
  row: Pick<Row, 'ask' | 'from'>,
  more: readonly string[] = [],
): Promise<Told> {
  const { method = 'GET', path, host = PUBLIC_HOST, body, token } = row.ask;
  const headers = [...headersOf(row)];
  if (token !== undefined) headers.push(['Authorization', `Bearer ${token}`]);
  const words = [folder, '--request', `${method} http://${host}${path}`, '--peer', '127.0.0.1', '-o', 'json', ...more];
  for (const [name, value] of headers) words.push('--header', `${name}: ${value}`);
  if (body !== undefined) words.push('--body', '-');
  const output = { stdout: '', stderr: '' };
  const io = {
    stdout: { write: (text: string) => void (output.stdout += text) },
    stderr: { write: (text: string) => void (output.stderr += text) },
    stdin: () => Promise.resolve(body ?? ''),
    isTTY: false,
    columns: 80,
    env: {},
    cwd: folder,
  };
  await runProgram(['explain', ...words], io, { signal: new AbortController().signal, version: '0' });
  assert.equal(output.stderr, '');
  const told = JSON.parse(output.stdout) as Readonly<Record<'verdict' | 'reason', string | undefined>> & {
    readonly status?: number;
    readonly auditDenials: readonly { readonly step: string; readonly reason: string }[];
  };
  return {
    verdict: `${told.status ?? 200} ${told.reason ?? ''}`.trim(),
    audit: told.auditDenials.map(({ step, reason }) => `${step} ${reason}`),
  };
}

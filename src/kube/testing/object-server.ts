/** A scripted API server that holds collections: streaming lists, watches from a version, and objects that a test changes. */
import type { Http2ServerResponse } from 'node:http2';
import type { TestContext } from 'node:test';
import {
  answerJson,
  createStatus,
  openScriptedServer,
  type ReceivedCall,
  type ScriptedServer,
} from './scripted-server.ts';

export interface ObjectServer extends ScriptedServer {
  /** Adds or replaces an object; the server counts versions and, when `spec` differs, generations. */
  put(path: string, object: Record<string, unknown>): void;
  remove(path: string, name: string): void;
  /** Forgets what happened: resuming from before is 410 from now on, as a status or (every other time) as an event. */
  compact(): void;
  /** Answers everything with this status from now on; undefined: serves again. */
  fail(status: number | undefined): void;
}

interface Happened {
  readonly path: string;
  readonly version: number;
  readonly line: string;
}

interface Watcher {
  readonly path: string;
  readonly answer: Http2ServerResponse;
}

export async function openObjectServer(context: TestContext, port?: number): Promise<ObjectServer> {
  const collections = new Map<string, Map<string, Record<string, unknown>>>();
  const uids = new Map<string, number>();
  const watchers = new Set<Watcher>();
  let history: Happened[] = [];
  let oldest = 0;
  let refusals = 0;
  let version = 100;
  let failing: number | undefined;

  const serve = ({ path, query }: ReceivedCall, answer: Http2ServerResponse): void => {
    if (failing !== undefined) return answerJson(answer, failing, createStatus(failing, 'Failing', 'the test says so'));
    const isList = query.get('sendInitialEvents') === 'true';
    const from = Number(query.get('resourceVersion'));
    if (!isList && from < oldest) return refuseOld(answer);
    answer.writeHead(200);
    if (isList) {
      for (const object of collections.get(path)?.values() ?? []) answer.write(encode('ADDED', object));
      answer.write(encodeEnd(version));
    } else for (const { path: of, version: at, line } of history) if (of === path && at > from) answer.write(line);
    const watcher = { path, answer };
    watchers.add(watcher);
    answer.stream.once('close', () => watchers.delete(watcher));
  };
  const refuseOld = (answer: Http2ServerResponse): void => {
    const gone = createStatus(410, 'Expired', 'too old resource version');
    refusals += 1;
    if (refusals % 2 === 0) answerJson(answer, 410, gone);
    else answer.writeHead(200).end(encode('ERROR', gone));
  };
  const tell = (path: string, line: string): void => {
    history.push({ path, version, line });
    for (const watcher of watchers) if (watcher.path === path) watcher.answer.write(line);
  };
  const server = await openScriptedServer(context, serve, port === undefined ? {} : { port });

  return {
    ...server,
    put(path, object) {
      version += 1;
      const objects = collections.get(path) ?? new Map<string, Record<string, unknown>>();
      collections.set(path, objects);
      const metadata = object['metadata'] as Record<string, unknown>;
      const name = String(metadata['name']);
      const before = objects.get(name);
      const stored = {
        ...object,
        metadata: { ...metadata, ...count(before, object, `${path}/${name}`, uids, version) },
      };
      objects.set(name, stored);
      tell(path, encode(before === undefined ? 'ADDED' : 'MODIFIED', stored));
    },
    remove(path, name) {
      version += 1;
      const objects = collections.get(path);
      const object = objects?.get(name);
      if (object === undefined) return;
      objects?.delete(name);
      uids.set(`${path}/${name}`, (uids.get(`${path}/${name}`) ?? 0) + 1);
      const metadata = { ...(object['metadata'] as object), resourceVersion: String(version) };
      tell(path, encode('DELETED', { ...object, metadata }));
    },
    compact() {
      history = [];
      oldest = version;
    },
    fail: status => void (failing = status),
  };
}

function count(
  before: Record<string, unknown> | undefined,
  object: Record<string, unknown>,
  key: string,
  uids: ReadonlyMap<string, number>,
  version: number,
): Record<string, unknown> {
  const known = before?.['metadata'] as { generation: number } | undefined;
  const changed = JSON.stringify(before?.['spec']) !== JSON.stringify(object['spec']);
  return {
    uid: `${key}#${uids.get(key) ?? 0}`,
    generation: known === undefined ? 1 : known.generation + (changed ? 1 : 0),
    creationTimestamp: '2026-11-23T12:00:00Z',
    resourceVersion: String(version),
  };
}

const encode = (type: string, object: unknown): string => `${JSON.stringify({ type, object })}\n`;
const encodeEnd = (version: number): string =>
  encode('BOOKMARK', {
    metadata: { resourceVersion: String(version), annotations: { 'k8s.io/initial-events-end': 'true' } },
  });

/** The demo's table of attempts, made against a cluster: what came back, and afterwards what the app got. */
import { ATTEMPTS, type Attempt, THUMBPRINT } from '../../../src/demo/attempts.ts';
import type { Answer, Clients } from './installation-clients.ts';
import { type Scene, SHOP } from './installation-scene.ts';
import type { ClusterNode } from './node.ts';

/** Says which attempt a request that reached the app belongs to. */
const MARK = 'x-attempt';

export const ATTEMPTS_AT_SIDECAR: readonly Attempt[] = ATTEMPTS.filter(({ to }) => to !== 'app');

/** What is wrong with the answer; empty: nothing. */
export async function makeAttempt(attempt: Attempt, clients: Clients, scene: Scene): Promise<readonly string[]> {
  const { method = 'GET', path, token, device, headers = {}, body, expect } = attempt;
  const mark = String(ATTEMPTS.indexOf(attempt));
  const answer = await clients.ask(
    scene.request({
      ...{ method, path, headers: { ...headers, [MARK]: mark } },
      ...(token === undefined ? {} : { token }),
      ...(device === undefined ? {} : { device }),
      ...(body === undefined ? {} : { body }),
    }),
  );
  const whole = `${JSON.stringify(answer.headers)}\n${answer.body}`;
  const reason = readReason(answer);
  return [
    ...(answer.status === expect.status ? [] : [`status ${answer.status} ${answer.error ?? ''}, not ${expect.status}`]),
    ...(expect.reason === undefined || expect.reason === reason ? [] : [`reason ${reason}, not ${expect.reason}`]),
    ...(expect.hidden ?? []).filter(leak => whole.includes(leak)).map(leak => `the answer tells ${leak}`),
    ...(expect.shown ?? []).filter(part => !whole.includes(part)).map(part => `the answer lacks ${part}`),
  ];
}

export const readReason = ({ body }: Answer): string => /"reason":\s*"(\w+)"/.exec(body)?.[1] ?? '';

interface Seen {
  readonly headers: Readonly<Record<string, string>>;
}

/** What is wrong with what the app got of all attempts, by their titles; empty: nothing. */
export async function judgeApp(node: ClusterNode, { material }: Scene): Promise<readonly string[]> {
  const { stdout } = await node.kubectl(['-n', SHOP, 'logs', '-l', 'app=fleet', '-c', 'fleet', '--tail=-1']);
  const lines = stdout.split('\n').filter(line => line.includes(`"${MARK}"`));
  const seen = Map.groupBy(
    lines.map(line => JSON.parse(line) as Seen),
    ({ headers }) => headers[MARK] ?? '',
  );
  const thumbprint = material.devices['robot-7'].sha1;
  return ATTEMPTS_AT_SIDECAR.flatMap(attempt => {
    const got = seen.get(String(ATTEMPTS.indexOf(attempt))) ?? [];
    return judgeOne(attempt, got, thumbprint).map(problem => `${attempt.title}: ${problem}`);
  });
}

function judgeOne({ expect }: Attempt, got: readonly Seen[], thumbprint: string): string[] {
  const reaches = expect.reachesApp ?? (expect.status > 0 && expect.status < 400);
  if (got.length !== (reaches ? 1 : 0)) return [`the app got ${got.length} requests`];
  const headers = Object.entries(got[0]?.headers ?? {});
  return Object.entries(expect.app ?? {}).flatMap(([name, wanted]) => {
    const values = headers.filter(([other]) => other.replaceAll(/[_.]/g, '-') === name).map(([, value]) => value);
    const must = wanted === null ? '' : wanted.replace(THUMBPRINT, thumbprint);
    return values.join() === must ? [] : [`the app saw ${name}: ${values.join()}, not ${must}`];
  });
}

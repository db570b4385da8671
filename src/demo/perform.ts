/** Performs an attempt and compares what came of it with what must. */
import type { Seen } from './app.ts';
import { type Attempt, type Expectation, THUMBPRINT } from './attempts.ts';
import { type Answer, send } from './client.ts';
import { PUBLIC_HOST } from './material.ts';
import { INTERNAL_HOST } from './app.ts';
import type { Scene } from './scene.ts';
import type { Outcome } from './stage.ts';

const CONTEXT_HEADERS = ['x-request-context-data', 'x-client-id'];

export async function perform(attempt: Attempt, scene: Scene): Promise<Outcome> {
  const before = scene.app.seen.length;
  const answer = await send(describe(attempt, scene));
  const seen = scene.app.seen.slice(before);
  const reason = readReason(answer);
  const problems = [
    ...judgeAnswer(attempt.expect, answer, reason),
    ...judgeSeen(attempt.expect, seen, scene.material.devices['robot-7'].sha1),
  ];
  return { attempt, status: answer.status, reason, appSaw: seen.map(summarize).join(', ') || 'nothing', problems };
}

function describe(attempt: Attempt, { ports, material, tokens }: Scene): Parameters<typeof send>[0] {
  const { to = 'sidecar', method = 'GET', path, token, device, headers, body } = attempt;
  const bearer = token === undefined ? undefined : tokens.get(token);
  return {
    port: to === 'app' ? ports.app : ports.sidecar,
    host: to === 'app' ? INTERNAL_HOST : PUBLIC_HOST,
    ca: to === 'app' ? material.appCa.certificatePem : material.corp.certificatePem,
    method,
    path,
    headers: { ...(bearer === undefined ? {} : { Authorization: `Bearer ${bearer}` }), ...headers },
    ...(body === undefined ? {} : { body }),
    ...(device === undefined ? {} : { certificate: material.devices[device] }),
  };
}

function judgeAnswer(expect: Expectation, { status, headers, body }: Answer, reason: string): string[] {
  const whole = `${JSON.stringify(headers)}\n${body}`;
  return [
    ...(status === expect.status ? [] : [`status is ${status}, must be ${expect.status}`]),
    ...(expect.reason === undefined || reason === expect.reason
      ? []
      : [`reason is ${reason}, must be ${expect.reason}`]),
    ...(expect.hidden ?? []).filter(leak => whole.includes(leak)).map(leak => `the answer tells ${leak}`),
    ...(expect.shown ?? []).filter(part => !whole.includes(part)).map(part => `the answer lacks ${part}`),
  ];
}

function judgeSeen(expect: Expectation, seen: readonly Seen[], thumbprint: string): string[] {
  const reaches = expect.reachesApp ?? (expect.status > 0 && expect.status < 400);
  if (seen.length !== (reaches ? 1 : 0)) return [`the app got ${seen.length} requests, must get ${reaches ? 1 : 0}`];
  const headers = Object.entries(seen[0]?.headers ?? {});
  return Object.entries(expect.app ?? {}).flatMap(([name, wanted]) => {
    const values = headers.filter(([other]) => other.replaceAll(/[_.]/g, '-') === name).map(([, value]) => value);
    const must = wanted === null ? [] : [wanted.replace(THUMBPRINT, thumbprint)];
    return values.join() === must.join()
      ? []
      : [`the app saw ${name}: ${values.join() || 'absent'}, must be ${must.join() || 'absent'}`];
  });
}

/** The reason of a problem document; of a refused connection, what the client's TLS says. */
function readReason({ status, headers, body }: Answer): string {
  if (status === 0) return /CERTIFICATE_REQUIRED/.test(body) ? 'TLS: certificate required' : `TLS: ${body}`;
  if (!String(headers['content-type']).startsWith('application/problem+json')) return '';
  const match = /"reason":\s*"(\w+)"/.exec(body);
  return match?.[1] ?? '';
}

function summarize({ method, path, headers }: Seen): string {
  const context = CONTEXT_HEADERS.flatMap(name => headers[name] ?? []);
  return [`${method} ${path}`, ...context.map(value => `as ${shorten(value)}`)].join(' ');
}

/** Thumbprints are 40 digits long; eight tell them apart in a table. */
function shorten(value: string): string {
  return value.replaceAll(/\b([0-9A-F]{8})[0-9A-F]{32}\b/g, '$1…');
}

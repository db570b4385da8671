/** `sallyport explain FILE… --request 'POST https://…'`: the decision step by step, by the evaluator of the data path. */
import { isIP } from 'node:net';
import type { Violation } from '../api/violation.ts';
import { judgeMatched, matchRequest } from '../decision/judge-request.ts';
import { refuse } from '../decision/refuse.ts';
import { createTrace } from '../decision/trace.ts';
import type { ErrorsPlan } from '../policy/model.ts';
import type { RequestView } from '../policy/request.ts';
import { findSource, foldAddress } from '../proxy/client-address.ts';
import { compileRanges } from '../proxy/trusted-peers.ts';
import { readManifests } from '../sources/read-manifests.ts';
import type { Resources } from '../sources/source.ts';
import { formatProblem } from './check-report.ts';
import { createOfflineEvidence, type Given } from './explain-evidence.ts';
import {
  FileProblem,
  makeHeaders,
  readBodyFile,
  readChainFile,
  readDeviceAnswer,
  readHeaderLine,
  readMoment,
  readRequestLine,
  readRequestBody,
  readTokenFile,
  type HeaderLine,
} from './explain-input.ts';
import { renderEffective } from './explain-effective.ts';
import { renderExplanation, type Explanation } from './explain-report.ts';
import { describeMiss } from './explain-miss.ts';
import { findRouteFor, isDeaf, listListeners, listWorkloads, type Found } from '../policy-tests/find-route.ts';
import { EXIT, type Io, type RunCommand } from './io.ts';
import {
  choiceOption,
  parsedListOption,
  parsedOption,
  runCommandLine,
  switchOption,
  textOption,
  UsageProblem,
  type Command,
  type Values,
} from './options.ts';

const OPTIONS = {
  request: parsedOption(readRequestLine, {
    placeholder: "'METHOD URL'",
    description: 'The request; needed, but with --effective',
  }),
  effective: switchOption({
    description: 'Instead of a decision: the steps of every operation in their order, with scope and policy of each',
  }),
  header: parsedListOption(readHeaderLine, {
    placeholder: "'NAME: VALUE'",
    short: 'H',
    description: 'A header of the request; repeatable',
  }),
  token: textOption({
    placeholder: 'FILE',
    description: 'A token, sent as Authorization: Bearer; - for standard input. Elsewhere: use --header or the URL',
  }),
  body: textOption({
    placeholder: 'FILE',
    description: 'The request’s body, byte for byte, for signatures over it; - for standard input',
  }),
  certificate: textOption({
    placeholder: 'FILE',
    description: 'The client’s certificate chain (PEM), leaf first, as in the TLS handshake',
  }),
  'device-auth': parsedOption(readDeviceAnswer, {
    placeholder: 'STATUS[:FILE]',
    description: 'What the device-auth service answers, with a JSON object as its body; or unreachable',
  }),
  peer: parsedOption(readAddress, {
    placeholder: 'ADDRESS',
    description:
      'Address of the TCP peer, or of the client by the PROXY protocol; default 192.0.2.1. Forwarding headers count if the Api trusts it',
  }),
  'source-ip': parsedOption(readAddress, {
    placeholder: 'ADDRESS',
    description: 'source.ip, whatever peer and headers say',
  }),
  now: parsedOption(readMoment, { placeholder: 'TIME', description: 'When the request comes; default: now' }),
  namespace: textOption({ placeholder: 'NAME', description: 'Only Apis of this namespace' }),
  'workload-labels': parsedOption(readLabels, {
    placeholder: 'KEY=VALUE,…',
    description: 'Labels of the workload; default: those that the Api selects',
  }),
  output: choiceOption(['text', 'json'], 'text', { short: 'o', description: 'Form of the answer' }),
};

const COMMAND: Command<typeof OPTIONS> = {
  name: 'explain',
  description: [
    'Shows how a request would be decided by these manifests: every step with the scope and policy it came from, its verdict, its reason and its cost. Values of claims and headers are not printed.',
    'Nothing is fetched. What can be checked from the manifests is checked (Secrets and ConfigMaps in them included); what cannot is listed as not checked. What is not checked is taken for good, and the verdict says so. Exit code 0 when it is permitted, 1 when it is denied.',
  ],
  positionals: { name: 'FILE…', min: 1, max: Infinity },
  options: OPTIONS,
  examples: [
    {
      comment: 'A web client',
      line: "sallyport explain manifests/ --request 'GET https://fleet.example.com/v1/devices/robot-7' --token token.jwt",
    },
    { comment: 'The order of all steps, without a request', line: 'sallyport explain manifests/ --effective' },
    {
      comment: 'A device that its service knows',
      line: "sallyport explain manifests/ --request 'POST https://fleet.example.com/v1/devices/robot-7/telemetry' --certificate robot-7.pem --device-auth 200:body.json",
    },
  ],
};

type Flags = Values<typeof OPTIONS>;

const DOCUMENTATION_ADDRESS = '192.0.2.1';
const DEFAULT_ERRORS: ErrorsPlan = {
  format: 'Problem',
  includeReason: true,
  includePolicy: false,
  headers: [],
  overrides: new Map(),
};

export const runExplain: RunCommand = (args, io) =>
  runCommandLine(COMMAND, args, io, async (flags, paths) => {
    try {
      if (flags.effective) return await showEffective(flags, paths, io);
      if (flags.request === undefined) {
        io.stderr.write("sallyport explain: needs --request 'METHOD URL', or --effective\n");
        return EXIT.usage;
      }
      return await explain({ ...flags, request: flags.request }, paths, io);
    } catch (error) {
      if (!(error instanceof FileProblem)) throw error;
      io.stderr.write(`sallyport explain: ${error.message}\n`);
      return EXIT.unavailable;
    }
  });

/** Without a request there is nothing to decide, only an order to show. */
async function showEffective(flags: Flags, paths: readonly string[], io: Io): Promise<number> {
  const { namespace } = flags;
  const options = { cwd: io.cwd, ...(namespace === undefined ? {} : { defaultNamespace: namespace }) };
  const resources = await readManifests(paths, options);
  reportErrors(resources.violations, io);
  if (!resources.complete) return EXIT.unavailable;
  const workloads = listWorkloads(resources.objects, { namespace, labels: flags['workload-labels'] });
  const listeners = listListeners(resources, workloads);
  for (const { snapshot } of listeners) reportErrors(snapshot.violations, io);
  renderEffective(
    listeners.flatMap(({ listener }) => listener.routes),
    flags.output,
    io,
  );
  return EXIT.ok;
}

type Asked = Flags & { readonly request: NonNullable<Flags['request']> };

async function explain(flags: Asked, paths: readonly string[], io: Io): Promise<number> {
  const { namespace } = flags;
  const options = { cwd: io.cwd, ...(namespace === undefined ? {} : { defaultNamespace: namespace }) };
  const resources = await readManifests(paths, options);
  reportErrors(resources.violations, io);
  if (!resources.complete) return EXIT.unavailable;
  const workloads = listWorkloads(resources.objects, { namespace, labels: flags['workload-labels'] });
  const headers = await collectHeaders(flags, io);
  const found = findRouteFor(listListeners(resources, workloads), flags.request, makeHeaders(headers));
  reportErrors(found?.snapshot.violations ?? [], io);
  const miss = describeMiss(resources, workloads, flags.request, found);
  const about = { request: flags.request.text, port: found?.port, match: found?.match, miss };
  const explanation = { ...about, ...(await decideAs({ ...flags, headers }, resources, found, io)) };
  renderExplanation(explanation, flags.output, io);
  return explanation.verdict.verdict === 'Deny' ? EXIT.negative : EXIT.ok;
}

/** Warnings are for `check`: here they would bury the answer. */
function reportErrors(problems: readonly Violation[], io: Io): void {
  for (const problem of problems) if (problem.severity === 'error') io.stderr.write(`${formatProblem(problem)}\n`);
}

type Asking = Asked & { readonly headers: readonly HeaderLine[] };
type Decision = Pick<Explanation, 'verdict' | 'trace' | 'notes'>;

const TLS_ONLY = 'the port speaks TLS only, so it closes the connection without an answer; write https://';

async function decideAs(flags: Asking, resources: Resources, found: Found | undefined, io: Io): Promise<Decision> {
  const { request } = flags;
  const now = flags.now ?? Date.now();
  const { path, reason } = request.target;
  if (found !== undefined && isDeaf(request, found.listener)) {
    return { verdict: { verdict: 'Deny', closed: TLS_ONLY }, trace: [], notes: [] };
  }
  if (found === undefined || path === undefined || found.match.kind === 'refused') {
    const errors = found?.match.kind === 'refused' ? found.match.errors : DEFAULT_ERRORS;
    const told = found?.match.kind === 'refused' ? found.match.reason : 'OperationNotFound';
    return { verdict: refuse(reason ?? told, errors), trace: [], notes: [] };
  }
  const { snapshot, listener } = found;
  const sent = await readRequestBody(flags.body, io);
  const view = createView(flags, found, path, { lines: flags.headers, sent });
  const notes: string[] = [];
  const about = { snapshot, resources, view, sent, now, note: (text: string) => void notes.push(text) };
  const given = await collectEvidence(flags, io, about);
  const trace = createTrace(() => performance.now() * 1000);
  const matched = matchRequest(listener.match, view, snapshot.reservedHeaders, { now, trace });
  if (matched.kind === 'refused') {
    const { reason: told, errors } = matched.match;
    return { verdict: refuse(told, errors), trace: [], notes };
  }
  const evidence = createOfflineEvidence(given);
  const verdict = await judgeMatched(matched, view, snapshot.reservedHeaders, evidence, { now, trace });
  return { verdict, trace: trace.entries, notes };
}

async function collectHeaders(flags: Asked, io: Io): Promise<readonly HeaderLine[]> {
  const lines: HeaderLine[] = [...flags.header];
  if (!lines.some(([name]) => name.toLowerCase() === 'host')) lines.unshift(['Host', flags.request.authority]);
  if (flags.token !== undefined) lines.push(['Authorization', `Bearer ${await readTokenFile(flags.token, io)}`]);
  return lines;
}

interface Message {
  readonly lines: readonly HeaderLine[];
  readonly sent: Uint8Array;
}

function createView(flags: Asked, { listener }: Found, path: string, { lines, sent }: Message): RequestView {
  const { method, host, scheme, target } = flags.request;
  const headers = makeHeaders(lines);
  const peer = flags.peer ?? DOCUMENTATION_ADDRESS;
  const fromTrustedPeer = compileRanges(listener.trustedPeers)(peer);
  const sourceIp = flags['source-ip'] ?? findSource(listener.clientAddress, peer, fromTrustedPeer, headers);
  const length = headers.values[headers.lower.indexOf('content-length')] ?? String(sent.length);
  const size = /^[0-9]{1,15}$/.test(length) ? Number(length) : 0;
  return { method, path, query: target.query ?? '', host, scheme, headers, sourceIp, size, fromTrustedPeer };
}

interface About {
  readonly snapshot: Found['snapshot'];
  readonly resources: Resources;
  readonly view: RequestView;
  readonly sent: Uint8Array;
  readonly now: number;
  readonly note: (sentence: string) => void;
}

async function collectEvidence(flags: Asked, io: Io, about: About): Promise<Given> {
  const { snapshot, resources, view, sent, now, note } = about;
  const answer = flags['device-auth'];
  const known = answer !== undefined && answer !== 'unreachable';
  const body = known && answer.file !== undefined ? await readBodyFile(answer.file, io) : {};
  return {
    snapshot,
    material: resources.material,
    headers: view.headers,
    chain: flags.certificate === undefined ? [] : await readChainFile(flags.certificate, io),
    body: sent,
    fromTrustedPeer: view.fromTrustedPeer,
    now,
    note,
    ...(answer === undefined ? {} : { deviceAuth: known ? { status: answer.status, body } : 'unreachable' }),
  };
}

function readAddress(text: string): string {
  if (isIP(text) === 0) throw new UsageProblem('must be an IP address');
  return foldAddress(text);
}

function readLabels(text: string): Readonly<Record<string, string>> {
  const labels = Object.create(null) as Record<string, string>;
  for (const part of text.split(',')) {
    const [, key, value] = /^([^=]+)=([^=]*)$/.exec(part.trim()) ?? [];
    if (key === undefined || value === undefined) throw new UsageProblem('must be KEY=VALUE,…');
    labels[key] = value;
  }
  return labels;
}

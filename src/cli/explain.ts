/** `sallyport explain FILE… --request 'POST https://…'`: the decision step by step, by the evaluator of the data path. */
import { isIP } from 'node:net';
import type { Violation } from '../api/violation.ts';
import { findRouteFor, listListeners, listWorkloads } from '../policy-tests/find-route.ts';
import { foldAddress } from '../proxy/client-address.ts';
import { readManifests } from '../sources/read-manifests.ts';
import { formatProblem } from './check-report.ts';
import { contextOption, kubeconfigOption } from './cluster-connection.ts';
import { decide, type Asked } from './explain-decision.ts';
import { renderEffective } from './explain-effective.ts';
import {
  FileProblem,
  makeHeaders,
  readBodyFile,
  readChainFile,
  readDeviceAnswer,
  readHeaderLine,
  readMoment,
  readRequestBody,
  readRequestLine,
  readTokenFile,
  type HeaderLine,
} from './explain-input.ts';
import { describeMiss } from './explain-miss.ts';
import { askSidecar, passQuestion, type PodName } from './explain-remote.ts';
import { describeExplanation, renderExplanation } from './explain-report.ts';
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
  pod: parsedOption(readPodName, {
    placeholder: '[NAMESPACE/]NAME',
    description: 'Asks the sidecar of this pod instead of manifests, as kubectl exec would',
  }),
  'admin-socket': textOption({
    placeholder: 'PATH',
    description: 'Asks the sidecar of this admin socket instead of manifests',
    variable: 'SALLYPORT_EXPLAIN_SOCKET',
  }),
  question: textOption({
    placeholder: 'FILE',
    description: 'For --admin-socket: the whole question as JSON, as --pod sends it; - for standard input',
  }),
  context: contextOption,
  kubeconfig: kubeconfigOption,
  output: choiceOption(['text', 'json'], 'text', { short: 'o', description: 'Form of the answer' }),
};

const COMMAND: Command<typeof OPTIONS> = {
  name: 'explain',
  description: [
    'Shows how a request would be decided by these manifests: every step with the scope and policy it came from, its verdict, its reason and its cost. Values of claims and headers are not printed.',
    'Nothing is fetched. What can be checked from the manifests is checked (Secrets and ConfigMaps in them included); what cannot is listed as not checked. What is not checked is taken for good, and the verdict says so. Exit code 0 when it is permitted, 1 when it is denied.',
    'With --pod or --admin-socket a running sidecar answers by the generation that it has in force, from what it holds and from what is given here: it fetches nothing and counts nothing either.',
  ],
  positionals: { name: 'FILE…', min: 1, max: Infinity, unless: ['pod', 'admin-socket'] },
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
    {
      comment: 'By the sidecar of a pod',
      line: "sallyport explain --pod shop/fleet-6d4cf56db6-abcde --request 'GET https://fleet.example.com/v1/devices/robot-7' --token token.jwt",
    },
  ],
};

type Flags = Values<typeof OPTIONS>;

export const runExplain: RunCommand = (args, io) =>
  runCommandLine(COMMAND, args, io, async (flags, paths) => {
    const isLive = flags.pod !== undefined || flags['admin-socket'] !== undefined;
    if (isLive && flags.question !== undefined) return passQuestion(flags, io);
    if (flags.question !== undefined || (isLive && flags.effective)) {
      const wrong = isLive ? '--effective is for files' : '--question is for --admin-socket';
      io.stderr.write(`sallyport explain: ${wrong}\n`);
      return EXIT.usage;
    }
    try {
      if (flags.effective) return await showEffective(flags, paths, io);
      if (flags.request === undefined) {
        io.stderr.write("sallyport explain: needs --request 'METHOD URL', or --effective\n");
        return EXIT.usage;
      }
      const asked = await collectAsked(flags, flags.request, io);
      return isLive ? await askSidecar(flags, asked, io) : await explain(flags, asked, paths, io);
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

async function explain(flags: Flags, asked: Asked, paths: readonly string[], io: Io): Promise<number> {
  const { namespace } = flags;
  const options = { cwd: io.cwd, ...(namespace === undefined ? {} : { defaultNamespace: namespace }) };
  const resources = await readManifests(paths, options);
  reportErrors(resources.violations, io);
  if (!resources.complete) return EXIT.unavailable;
  const workloads = listWorkloads(resources.objects, { namespace, labels: flags['workload-labels'] });
  const found = findRouteFor(listListeners(resources, workloads), asked.request, makeHeaders(asked.lines));
  reportErrors(found?.snapshot.violations ?? [], io);
  const miss = describeMiss(resources, workloads, asked.request, found);
  const about = { request: asked.request.text, port: found?.port, match: found?.match, miss };
  const told = describeExplanation({ ...about, ...(await decide(asked, found, resources.material)) });
  renderExplanation(told, flags.output, io);
  return told.verdict === 'Deny' ? EXIT.negative : EXIT.ok;
}

/** Warnings are for `check`: here they would bury the answer. */
function reportErrors(problems: readonly Violation[], io: Io): void {
  for (const problem of problems) if (problem.severity === 'error') io.stderr.write(`${formatProblem(problem)}\n`);
}

async function collectAsked(flags: Flags, request: Asked['request'], io: Io): Promise<Asked> {
  const lines: HeaderLine[] = [...flags.header];
  if (!lines.some(([name]) => name.toLowerCase() === 'host')) lines.unshift(['Host', request.authority]);
  if (flags.token !== undefined) lines.push(['Authorization', `Bearer ${await readTokenFile(flags.token, io)}`]);
  const answer = flags['device-auth'];
  const known = answer !== undefined && answer !== 'unreachable';
  const answered = known && answer.file !== undefined ? await readBodyFile(answer.file, io) : {};
  return {
    ...{ request, lines, now: flags.now ?? Date.now(), body: await readRequestBody(flags.body, io) },
    chain: flags.certificate === undefined ? [] : await readChainFile(flags.certificate, io),
    ...(answer === undefined ? {} : { deviceAuth: known ? { status: answer.status, body: answered } : 'unreachable' }),
    ...(flags.peer === undefined ? {} : { peer: flags.peer }),
    ...(flags['source-ip'] === undefined ? {} : { sourceIp: flags['source-ip'] }),
  };
}

function readAddress(text: string): string {
  if (isIP(text) === 0) throw new UsageProblem('must be an IP address');
  return foldAddress(text);
}

function readPodName(text: string): PodName {
  const [, namespace, name] = /^(?:([a-z0-9-]{1,63})\/)?([a-z0-9.-]{1,253})$/.exec(text) ?? [];
  if (name === undefined) throw new UsageProblem('must be NAMESPACE/NAME');
  return { name, ...(namespace === undefined ? {} : { namespace }) };
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

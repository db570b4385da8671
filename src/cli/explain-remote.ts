/** `explain` by a running sidecar: over its admin socket, or through an exec into its container. */
import { ADMIN_SOCKET, PROGRAM, SIDECAR_CONTAINER } from '../api/names.ts';
import { isRecord } from '../kube/objects.ts';
import { readMembers, withAdmin } from './admin-client.ts';
import type { ClusterFlags } from './cluster-connection.ts';
import type { Asked } from './explain-decision.ts';
import { writeQuestion } from './explain-question.ts';
import { renderExplanation, type ToldExplanation } from './explain-report.ts';
import { EXIT, type Io } from './io.ts';

export interface PodName {
  readonly name: string;
  /** Absent: that of the kubeconfig's context. */
  readonly namespace?: string;
}

interface Flags extends ClusterFlags {
  readonly pod: PodName | undefined;
  readonly 'admin-socket': string | undefined;
  readonly question: string | undefined;
  readonly output: 'text' | 'json';
}

export async function askSidecar(flags: Flags, asked: Asked, io: Io): Promise<number> {
  const { pod, output, 'admin-socket': socket } = flags;
  const question = writeQuestion(asked);
  if (pod === undefined) {
    const call = { method: 'POST', path: '/explain', body: question } as const;
    return withAdmin(socket, call, io, ({ status, body }) => show(status, body, output, io));
  }
  const { execInPod } = await import('./cluster-exec.ts');
  const command = [PROGRAM, 'explain', '--admin-socket', socket ?? ADMIN_SOCKET, '--question', '-'];
  const ran = await execInPod(flags, {
    ...pod,
    container: SIDECAR_CONTAINER,
    command,
    stdin: JSON.stringify(question),
  });
  const told = parse(ran.stdout);
  if (told !== undefined) return show(200, told, output, io);
  io.stderr.write(`sallyport explain: pod ${pod.name} gave no answer: ${ran.problem}\n`);
  return EXIT.unavailable;
}

function show(status: number, body: unknown, output: 'text' | 'json', io: Io): number {
  const { error } = readMembers(body);
  if (status !== 200 || !isTold(body)) {
    const why = typeof error === 'string' ? error : `it answered ${status}`;
    io.stderr.write(`sallyport explain: the sidecar does not explain: ${why}\n`);
    return EXIT.unavailable;
  }
  renderExplanation(body, output, io);
  return body.verdict === 'Deny' ? EXIT.negative : EXIT.ok;
}

/** As this program writes it; a sidecar of another version may say more. */
const isTold = (body: unknown): body is ToldExplanation & Record<string, unknown> =>
  isRecord(body) &&
  typeof body['verdict'] === 'string' &&
  Array.isArray(body['steps']) &&
  Array.isArray(body['auditDenials']) &&
  Array.isArray(body['notChecked']);

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** In the sidecar's container: hands the question on, and prints the answer as it is. */
export async function passQuestion(flags: Flags, io: Io): Promise<number> {
  const text = flags.question === '-' && io.stdin !== undefined ? await io.stdin() : undefined;
  const question = text === undefined ? undefined : parse(text);
  if (question === undefined) {
    io.stderr.write('sallyport explain: --question takes JSON on standard input (-)\n');
    return EXIT.usage;
  }
  const call = { method: 'POST', path: '/explain', body: question } as const;
  return withAdmin(flags['admin-socket'], call, io, ({ status, body }) => show(status, body, 'json', io));
}

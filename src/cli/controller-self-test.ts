/** `sallyport controller --self-test`: what `helm test` runs. Asks as the API server would; trust is not tested here. */
import { API_VERSION, GROUP, VERSION } from '../api/object.ts';
import { VALIDATE_PATH } from '../injector/webhooks.ts';
import { EXIT, type Io } from './io.ts';

const WITHIN_MS = 10_000;

interface Case {
  readonly what: string;
  readonly spec: unknown;
  readonly allowed: boolean;
}

const CASES: readonly Case[] = [
  { what: 'a policy that is right', spec: { request: [] }, allowed: true },
  {
    what: 'a policy with an expression that does not compile',
    spec: { request: [{ name: 'rules', authorize: { deny: [{ expression: 'nonsense(' }] } }] },
    allowed: false,
  },
];

export async function runSelfTest(url: string, { stdout, stderr }: Io): Promise<number> {
  for (const { what, spec, allowed } of CASES) {
    const answer = await ask(new URL(VALIDATE_PATH, url), review(spec)).catch((error: unknown) => {
      stderr.write(
        `sallyport controller: ${url} does not answer: ${error instanceof Error ? error.message : 'failed'}\n`,
      );
    });
    if (answer === undefined) return EXIT.unavailable;
    if (answer.allowed !== allowed) {
      stderr.write(`sallyport controller: ${what} was ${allowed ? 'refused' : 'taken'}: ${answer.message}\n`);
      return EXIT.negative;
    }
    stdout.write(`${what} was ${allowed ? 'taken' : `refused: ${answer.message}`}\n`);
  }
  return EXIT.ok;
}

const review = (spec: unknown): unknown => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: {
    uid: 'self-test',
    operation: 'CREATE',
    resource: { group: GROUP, version: VERSION, resource: 'authpolicies' },
    namespace: 'default',
    dryRun: true,
    object: {
      apiVersion: API_VERSION,
      kind: 'AuthPolicy',
      metadata: { name: 'self-test', namespace: 'default' },
      spec,
    },
  },
});

interface Answer {
  readonly allowed: boolean;
  readonly message: string;
}

function ask(url: URL, body: unknown): Promise<Answer> {
  const { request } = process.getBuiltinModule('node:https');
  return new Promise((resolve, reject) => {
    const call = request(
      url,
      // Whom to trust stands in the webhook configuration, for the API server; this pod may not read it.
      {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        rejectUnauthorized: false,
        timeout: WITHIN_MS,
      },
      response => {
        const chunks: Uint8Array[] = [];
        response.on('data', (chunk: Uint8Array) => chunks.push(chunk));
        response.on('end', () => {
          const answer = readAnswer(Buffer.concat(chunks).toString());
          if (answer === undefined) reject(new Error(`it answered ${response.statusCode ?? 0}`));
          else resolve(answer);
        });
      },
    );
    call.on('timeout', () => call.destroy(new Error('no answer in time')));
    call.on('error', reject);
    call.end(JSON.stringify(body));
  });
}

function readAnswer(text: string): Answer | undefined {
  try {
    const { response } = JSON.parse(text) as { response?: { allowed?: boolean; status?: { message?: string } } };
    return response === undefined
      ? undefined
      : { allowed: response.allowed === true, message: response.status?.message ?? '' };
  } catch {
    return undefined;
  }
}

/** The list of commands: what each is for, and the file that runs it, read only when it is asked for. */
import { renderEntry } from './help.ts';
import { EXIT, type Io, type RunCommand } from './io.ts';
import { quote, suggest } from './options.ts';

interface Entry {
  readonly summary: string;
  readonly load: () => Promise<RunCommand>;
}

const GROUPS: ReadonlyMap<string, Readonly<Record<string, Entry>>> = new Map([
  [
    'The data path',
    {
      sidecar: {
        summary: 'Judges every request to an app and forwards those that a policy permits',
        load: async () => (await import('./sidecar.ts')).runSidecar,
      },
      init: {
        summary: 'Writes the rules of a pod that bring every connection to its sidecar',
        load: async () => (await import('./init.ts')).runInit,
      },
    },
  ],
  [
    'Manifests',
    {
      check: {
        summary: 'Finds every problem in manifests before they are applied',
        load: async () => (await import('./check.ts')).runCheck,
      },
      explain: {
        summary: 'Shows step by step how a request would be decided, and why',
        load: async () => (await import('./explain.ts')).runExplain,
      },
      inject: {
        summary: 'Prints manifests as the webhook of the cluster would change them',
        load: async () => (await import('./inject.ts')).runInject,
      },
      convert: {
        summary: 'Azure API Management policies to manifests',
        load: async () => (await import('./convert.ts')).runConvert,
      },
    },
  ],
  [
    'A running sidecar',
    {
      status: {
        summary: 'What is in force: generation, keys, certificates, connections',
        load: async () => (await import('./status.ts')).runStatus,
      },
      drain: {
        summary: 'Takes it out of service without dropping a request',
        load: async () => (await import('./drain.ts')).runDrain,
      },
      'log-level': {
        summary: 'Changes how much it logs',
        load: async () => (await import('./log-level.ts')).runLogLevel,
      },
    },
  ],
  [
    'The cluster',
    {
      controller: {
        summary: 'What a cluster has once: webhooks, status, material and certificates for sidecars',
        load: async () => (await import('./controller.ts')).runController,
      },
    },
  ],
  [
    'Try it',
    {
      demo: {
        summary: 'Everything on this machine alone: issuer, devices, app and sidecar',
        load: async () => (await import('./demo.ts')).runDemo,
      },
    },
  ],
]);

const COMMANDS = new Map([...GROUPS.values()].flatMap(group => Object.entries(group)));

/** Runs one whole command line (without `node` and the script) and answers its exit code. */
export async function runProgram(
  argv: readonly string[],
  io: Io,
  { signal, version }: { readonly signal: AbortSignal; readonly version: string },
): Promise<number> {
  const [name, ...args] = argv;
  if (name === undefined) {
    io.stderr.write(renderOverview(io.columns));
    return EXIT.usage;
  }
  if (name === '--version' || name === '-v' || name === 'version') {
    io.stdout.write(`sallyport ${version}\n`);
    return EXIT.ok;
  }
  if (name === '--help' || name === '-h' || (name === 'help' && args.length === 0)) {
    io.stdout.write(renderOverview(io.columns));
    return EXIT.ok;
  }
  if (name === 'help') return runProgram([...args.slice(0, 1), '--help'], io, { signal, version });
  const command = COMMANDS.get(name);
  if (command === undefined) return reportUnknown(name, io);
  const run = await command.load();
  return run(args, io, signal);
}

function reportUnknown(name: string, io: Io): number {
  const known = [...COMMANDS.keys()];
  const kind = name.startsWith('-') ? 'an option' : 'a command';
  const names = name.startsWith('-') ? ['--help', '--version'] : [...known, 'help', 'version'];
  io.stderr.write(`sallyport: ${quote(name)} is not ${kind}${suggest(name, names)}\n`);
  io.stderr.write('Run `sallyport --help` for the list.\n');
  return EXIT.usage;
}

function renderOverview(columns: number): string {
  const width = Math.max(60, Math.min(columns, 110));
  const list = (entries: readonly (readonly [string, string])[]): string =>
    entries.map(([name, summary]) => renderEntry(name, summary, width, 14)).join('');
  const groups = [...GROUPS].map(
    ([title, group]) => `${title}:\n${list(Object.entries(group).map(([name, { summary }]) => [name, summary]))}`,
  );
  return [
    'Sallyport protects one app: web clients with tokens and devices with certificates at one port,',
    'judged next to the app by the policies that you declare.',
    '',
    'Usage:\n  sallyport COMMAND [options]\n',
    ...groups,
    'Run `sallyport COMMAND --help` for options and examples; `sallyport --version` tells the version.',
    'Exit codes: 0 well, 1 problems found or denied, 64 wrong usage, 69 something needed is not there, 70 our fault.\n',
  ].join('\n');
}

/** top. Picks the command. Environment, signals and exit codes live here and nowhere else. */
import { text } from 'node:stream/consumers';
import manifest from '../package.json' with { type: 'json' };
import { runProgram } from './cli/commands.ts';
import { findUnsafeSettings } from './cli/guard.ts';
import { EXIT, type Io, type Output } from './cli/io.ts';

const NO_SIGNAL = 128;
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/** A terminal's Ctrl-C reaches every process of the group, and npm and the launcher pass it on too: all of that is one. */
const ONE_SIGNAL_MS = 1000;

const stopped = new AbortController();
let stoppedAt = 0;
for (const [name, number] of Object.entries(SIGNALS)) {
  process.on(name, () => {
    if (!stopped.signal.aborted) stoppedAt = performance.now();
    else if (performance.now() - stoppedAt > ONE_SIGNAL_MS) process.exit(NO_SIGNAL + number); // the second one means now
    stopped.abort(name);
  });
}
/** What npm starts runs below a shell of npm's, which passes no signal on: when it is gone, nobody is left to press Ctrl-C. */
const PARENT_LOOK_MS = 500;

/** A demo that ends at once would leave processes and private keys behind: it is asked to end instead. */
const isDemo = process.argv[2] === 'demo';
if (isDemo && process.env['npm_lifecycle_event'] !== undefined) stopWithParent(process.ppid);

// Without a listener of ours, Node would open the inspector on SIGUSR1, which reads every key.
process.on('SIGUSR1', () => undefined);
process.on('uncaughtException', failInternally);

process.exitCode = EXIT.internal; // stays when the event loop runs dry before a command answers
process.exit(await main(process.argv.slice(2)));

async function main(argv: readonly string[]): Promise<number> {
  const io = openIo();
  const [command = ''] = argv;
  const unsafe = findUnsafeSettings(command, process.env, process.execArgv);
  for (const problem of unsafe) io.stderr.write(`sallyport ${command}: ${problem}\n`);
  if (unsafe.length > 0) return EXIT.usage;
  return runProgram(argv, io, { signal: stopped.signal, version: manifest.version });
}

function stopWithParent(parent: number): void {
  const look = (): void => {
    if (process.ppid !== parent) stopped.abort('parent');
  };
  setInterval(look, PARENT_LOOK_MS).unref();
}

function openIo(): Io {
  const { stdin, stdout, stderr, env } = process;
  return {
    stdout: openOutput(stdout),
    stderr: openOutput(stderr),
    ...(stdin.isTTY ? {} : { stdin: () => text(stdin) }),
    isTTY: stdout.isTTY && env['NO_COLOR'] === undefined && env['TERM'] !== 'dumb',
    columns: stdout.isTTY ? stdout.columns : 80,
    env,
    cwd: process.cwd(),
    program: [process.execPath, ...process.argv.slice(1, 2)],
    onExit: clean => {
      process.on('exit', clean);
      return () => process.off('exit', clean);
    },
  };
}

function openOutput(stream: NodeJS.WriteStream): Output {
  // `sallyport … | head`: the reader went away, which is no fault.
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') return;
    if (isDemo) stopped.abort('EPIPE');
    else process.exit(EXIT.ok);
  });
  return { write: chunk => void stream.write(chunk) };
}

/** The stack alone: an error's other fields may hold what must not be printed (a token's claims, a key). */
function failInternally(error: unknown): void {
  const stack = error instanceof Error ? (error.stack ?? error.message) : 'a value that is no Error was thrown';
  process.stderr.write(`sallyport: fault: ${stack}\n`);
  process.exit(EXIT.internal);
}

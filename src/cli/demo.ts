/** `sallyport demo`: the main job on this machine alone. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ATTEMPTS } from '../demo/attempts.ts';
import { type Outcome, perform } from '../demo/perform.ts';
import { type Scene, openScene } from '../demo/scene.ts';
import { renderWalkthrough } from '../demo/walkthrough.ts';
import { EXIT, type Io } from './io.ts';
import { type Command, type Values, numberOption, runCommandLine, switchOption } from './options.ts';
import { type Cell, createPaint, renderTable } from './text.ts';

export const DEMO = {
  name: 'demo',
  description: [
    'Starts an issuer of tokens, a device-auth service, an app that demands the mesh certificate and tells everything ' +
      'it should not, and a sidecar configured from examples/fleet. Prints commands to paste; Ctrl-C ends all of it and ' +
      'leaves nothing behind.',
    'With --run it performs the requests itself, shows what came of each, and exits 0 only if every answer is what it must be.',
  ],
  options: {
    run: switchOption({ description: 'Perform the requests, print a table and end', variable: 'SALLYPORT_DEMO_RUN' }),
    port: numberOption(
      { min: 0, max: 65_535, fallback: 0 },
      {
        description: 'Port of the sidecar; 0: any free one',
        placeholder: 'PORT',
        variable: 'SALLYPORT_DEMO_PORT', // Kubernetes itself sets SALLYPORT_PORT for a Service named sallyport
      },
    ),
  },
  examples: [
    { comment: 'Start everything and try the printed commands', line: 'sallyport demo' },
    { comment: 'See it all in two seconds', line: 'sallyport demo --run' },
  ],
} satisfies Command;

export function runDemo(args: readonly string[], io: Io, signal: AbortSignal): Promise<number> {
  return runCommandLine(DEMO, args, io, values => openAndShow(values, io, signal));
}

async function openAndShow({ run, port }: Values<typeof DEMO.options>, io: Io, signal: AbortSignal): Promise<number> {
  let scene: Scene;
  // What the sidecar says while it starts would stand above the commands to paste, and tells them nothing.
  const log = { shown: false };
  try {
    const { env, onExit } = io;
    const program = findProgram(io);
    const showLog = (text: string): void => {
      if (log.shown) io.stdout.write(text);
    };
    scene = await openScene({
      program,
      env,
      port,
      signal,
      examples: join(findPackage(), 'examples', 'fleet'),
      ...(run ? {} : { showLog }),
      ...(onExit === undefined ? {} : { onExit }),
    });
  } catch (error) {
    if (signal.aborted) return EXIT.ok;
    io.stderr.write(`sallyport demo: ${error instanceof Error ? error.message : 'could not start'}\n`);
    return EXIT.unavailable;
  }
  try {
    if (run) return await performAll(scene, io, signal);
    io.stdout.write(renderWalkthrough(scene, findProgram(io)));
    log.shown = true;
    return await serve(scene, io, signal);
  } finally {
    await scene.close();
  }
}

async function serve(scene: Scene, io: Io, signal: AbortSignal): Promise<number> {
  const stopped = new Promise<undefined>(resolve => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => resolve(undefined));
  });
  const tail = await Promise.race([stopped, scene.sidecar.ended]);
  if (tail === undefined || signal.aborted) return EXIT.ok;
  io.stderr.write('sallyport demo: the sidecar ended by itself\n');
  return EXIT.unavailable;
}

async function performAll(scene: Scene, io: Io, signal: AbortSignal): Promise<number> {
  const outcomes: Outcome[] = [];
  for (const attempt of ATTEMPTS) {
    if (signal.aborted) break;
    outcomes.push(await perform(attempt, scene));
  }
  const wrong = outcomes.filter(({ problems }) => problems.length > 0);
  const paint = createPaint(io.isTTY);
  io.stdout.write(
    renderTable(['REQUEST', 'STATUS', 'REASON', 'WHAT THE APP SAW'], outcomes.map(layOut), {
      paint,
      columns: io.isTTY ? io.columns : Infinity,
    }),
  );
  for (const { attempt, problems } of wrong) {
    for (const problem of problems) io.stderr.write(`${paint('red', 'wrong')}: ${attempt.title}: ${problem}\n`);
  }
  const done = outcomes.length === ATTEMPTS.length && wrong.length === 0;
  io.stdout.write(`${outcomes.length - wrong.length} of ${ATTEMPTS.length} requests were answered as they must be.\n`);
  return done ? EXIT.ok : EXIT.negative;
}

function layOut({ attempt, status, reason, appSaw, problems }: Outcome): readonly Cell[] {
  const colour = problems.length > 0 ? 'red' : status > 0 && status < 400 ? 'green' : 'yellow';
  return [
    { text: attempt.title },
    { text: status === 0 ? 'refused' : String(status), colour },
    { text: reason === '' ? '-' : reason },
    { text: appSaw, ...(appSaw === 'nothing' ? { colour: 'dim' } : {}) },
  ];
}

function findProgram({ program }: Io): readonly string[] {
  return program ?? [process.execPath, join(findPackage(), 'bin', 'sallyport.js')];
}

/** The package that this file is part of, whether it runs from src/ or from the bundle in dist/. */
function findPackage(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    const manifest = join(folder, 'package.json');
    if (existsSync(manifest) && readFileSync(manifest, 'utf8').includes('"name": "sallyport"')) return folder;
  }
  throw new Error('the package of this program is missing');
}

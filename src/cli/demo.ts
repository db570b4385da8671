/** `sallyport demo`: the main job on this machine alone. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ATTEMPTS } from '../demo/attempts.ts';
import { openOrdersScene, performWebhook, renderOrdersWalkthrough, WEBHOOKS } from '../demo/orders.ts';
import { perform } from '../demo/perform.ts';
import { openScene } from '../demo/scene.ts';
import type { SidecarProcess } from '../demo/sidecar-process.ts';
import type { Outcome, StageOptions } from '../demo/stage.ts';
import { renderWalkthrough } from '../demo/walkthrough.ts';
import { EXIT, type Io } from './io.ts';
import { choiceOption, type Command, type Values, numberOption, runCommandLine, switchOption } from './options.ts';
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
    example: choiceOption(['fleet', 'orders'], 'fleet', {
      description: 'Which of the examples runs: fleet, or orders, a queue behind a Shared Access Signature',
      variable: 'SALLYPORT_DEMO_EXAMPLE',
    }),
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
    { comment: 'A queue behind a Shared Access Signature', line: 'sallyport demo --example orders' },
  ],
} satisfies Command;

export function runDemo(args: readonly string[], io: Io, signal: AbortSignal): Promise<number> {
  return runCommandLine(DEMO, args, io, values => openAndShow(values, io, signal));
}

/** A scene of one of the examples, as far as this command needs to know it. */
interface Show {
  readonly sidecar: SidecarProcess;
  readonly walkthrough: () => string;
  readonly attempts: readonly (() => Promise<Outcome>)[];
  close(): Promise<void>;
}

async function openShow(example: 'fleet' | 'orders', options: StageOptions): Promise<Show> {
  if (example === 'orders') {
    const scene = await openOrdersScene(options);
    return {
      sidecar: scene.sidecar,
      walkthrough: () => renderOrdersWalkthrough(scene, options.program),
      attempts: WEBHOOKS.map(attempt => () => performWebhook(attempt, scene)),
      close: () => scene.close(),
    };
  }
  const scene = await openScene(options);
  return {
    sidecar: scene.sidecar,
    walkthrough: () => renderWalkthrough(scene, options.program),
    attempts: ATTEMPTS.map(attempt => () => perform(attempt, scene)),
    close: () => scene.close(),
  };
}

async function openAndShow(
  { run, port, example }: Values<typeof DEMO.options>,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  let scene: Show;
  // What the sidecar says while it starts would stand above the commands to paste, and tells them nothing.
  const log = { shown: false };
  try {
    const { env, onExit } = io;
    const program = findProgram(io);
    const showLog = (text: string): void => {
      if (log.shown) io.stdout.write(text);
    };
    scene = await openShow(example, {
      program,
      env,
      port,
      signal,
      examples: join(findPackage(), 'examples', example),
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
    io.stdout.write(scene.walkthrough());
    log.shown = true;
    return await serve(scene, io, signal);
  } finally {
    await scene.close();
  }
}

async function serve(scene: Show, io: Io, signal: AbortSignal): Promise<number> {
  const stopped = new Promise<undefined>(resolve => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => resolve(undefined));
  });
  const tail = await Promise.race([stopped, scene.sidecar.ended]);
  if (tail === undefined || signal.aborted) return EXIT.ok;
  io.stderr.write('sallyport demo: the sidecar ended by itself\n');
  return EXIT.unavailable;
}

async function performAll(scene: Show, io: Io, signal: AbortSignal): Promise<number> {
  const outcomes: Outcome[] = [];
  for (const attempt of scene.attempts) {
    if (signal.aborted) break;
    outcomes.push(await attempt());
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
  const all = scene.attempts.length;
  const done = outcomes.length === all && wrong.length === 0;
  io.stdout.write(`${outcomes.length - wrong.length} of ${all} requests were answered as they must be.\n`);
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

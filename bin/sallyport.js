#!/usr/bin/env node
// Starts Sallyport on the Node.js that package.json pins, whatever `node` is on the PATH.
// Plain JavaScript that old versions parse, so that they can be refused with a sentence.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const FLOOR = [24, 18, 1]; // CVE-2026-58044: older versions hide headers from a proxy

function isNewEnough(version) {
  const parts = version.split('.').map(Number);
  if (parts[0] !== FLOOR[0]) return false;
  for (let i = 1; i < 3; i++) if (parts[i] !== FLOOR[i]) return parts[i] > FLOOR[i];
  return true;
}

function findPinnedNode() {
  const platform = `${process.platform}-${process.arch}`;
  for (const name of [`node-${platform}`, `node-bin-${platform}`]) {
    const file = fileURLToPath(new URL(`../node_modules/${name}/bin/node`, import.meta.url));
    if (existsSync(file)) return file;
  }
  return undefined;
}

// As src/main.ts does: a demo must not outlive the shell that npm started it in.
function stopWithParent(child) {
  const parent = process.ppid;
  const looking = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(looking);
    child.kill('SIGTERM');
  }, 500);
}

function runOn(node, args, isDemo = false) {
  const child = spawn(node, args, { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  if (isDemo && process.env.npm_lifecycle_event) stopWithParent(child);
  child.on('exit', (code, signal) => {
    if (signal) process.kill(process.pid, signal === 'SIGINT' ? 'SIGTERM' : signal);
    else process.exit(code ?? 1);
  });
}

const args = process.argv.slice(2);
const script = args[0] === '--with-pinned-node' ? args.splice(0, 2)[1] : undefined;
const bundle = new URL('../dist/main.js', import.meta.url);
const target = script ?? fileURLToPath(bundle);

if (!isNewEnough(process.versions.node)) {
  const pinned = findPinnedNode();
  if (pinned === undefined) {
    process.stderr.write(
      `sallyport: needs Node.js 24 LTS at or above ${FLOOR.join('.')}, this is ${process.versions.node}. ` +
        'Run `npm ci` in the checkout (it installs the right one beside the packages) or install Node.js 24.\n',
    );
    process.exit(64);
  }
  // As in the image (Dockerfile).
  runOn(pinned, ['--max-semi-space-size=8', target, ...args], args[0] === 'demo');
} else if (script !== undefined) {
  runOn(process.execPath, [target, ...args]);
} else if (existsSync(bundle)) {
  await import(bundle.href);
} else {
  process.stderr.write('sallyport: dist/ is missing. Run `npm run build` (`npm ci` does it too).\n');
  process.exit(64);
}

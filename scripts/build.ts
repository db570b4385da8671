/** Bundles the program into dist/: one entry, late-loaded parts as chunks, so that a start reads only what it uses. */
import { copyFileSync, existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { build, type Plugin } from 'esbuild';

/**
 * Packages that only some configurations need and that are costly to evaluate (re2js: 10 MiB of tables), evaluated when
 * their first object is made. The value is the class that the code uses of them, by its constructor alone.
 */
const LATE: Readonly<Record<string, string>> = { re2js: 'RE2Set' };

const evaluateLate: Plugin = {
  name: 'evaluate-late',
  setup(bundler) {
    bundler.onResolve({ filter: new RegExp(`^(?:${Object.keys(LATE).join('|')})$`) }, ({ path, namespace }) =>
      namespace === 'late' ? undefined : { path, namespace: 'late' },
    );
    bundler.onLoad({ filter: /.*/, namespace: 'late' }, ({ path }) => {
      const name = LATE[path] ?? '';
      const made = `return new (require('${path}').${name})(...args);`;
      return { contents: `export function ${name}(...args) { ${made} }`, resolveDir: import.meta.dirname };
    });
  },
};

/**
 * Takes of what Node has built in only what is named. An ES module's `import` of it, and the interoperation code that
 * esbuild writes for a CommonJS module, would read every member first and so load what nobody uses (node:http: Node's own
 * undici; node:util: worker threads; node:fs: readline; node:crypto: WebCrypto). Nor is each of them a file of its own.
 */
const BUILTIN_IMPORT = /^import (?:(\w+)|\{ ?([^}]*?) ?,?\s*\}) from '(node:[^']+)';$/gm;
const takeBuiltinsByName: Plugin = {
  name: 'take-builtins-by-name',
  setup(bundler) {
    bundler.onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
      const contents = readFileSync(path, 'utf8').replace(
        BUILTIN_IMPORT,
        (_, ...[whole, names, from]: [string?, string?, string?]) =>
          takeBuiltin(from ?? '', whole ?? renderNames(names ?? '')),
      );
      return { contents, loader: 'ts' };
    });
    bundler.onResolve({ filter: /^node:/ }, ({ path, kind }) =>
      kind === 'require-call' ? { path, external: true } : { path, namespace: 'builtin' },
    );
    bundler.onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule('${path}');`,
    }));
  },
};

const takeBuiltin = (from: string, names: string): string => `const ${names} = process.getBuiltinModule('${from}');`;

/** `a, type B, c as d` of an import as a pattern to take apart by. */
const renderNames = (names: string): string =>
  `{ ${names
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '' && !name.startsWith('type '))
    .map(name => name.replace(' as ', ': '))
    .join(', ')} }`;

/**
 * What pino asks for at its start and we never use, with what takes its place. Worker threads of its own: none.
 * `isMainThread`: always. Node's `assert` (2 MiB with worker_threads 4): read when an assertion is made.
 */
const STAND_INS: Readonly<Record<string, string>> = {
  'thread-stream': 'module.exports = {};',
  worker_threads: 'module.exports = { isMainThread: true };',
  assert: "module.exports = (...args) => process.getBuiltinModule('node:assert')(...args);",
};
const leaveOut: Plugin = {
  name: 'leave-out',
  setup(bundler) {
    bundler.onResolve({ filter: new RegExp(`^(?:${Object.keys(STAND_INS).join('|')})$`) }, ({ path, importer }) =>
      /node_modules\/(?:pino|sonic-boom)\//.test(importer) ? { path, namespace: 'stand-in' } : undefined,
    );
    bundler.onLoad({ filter: /.*/, namespace: 'stand-in' }, ({ path }) => ({ contents: STAND_INS[path] ?? '' }));
  },
};

/**
 * koffi is native code with a JavaScript part that looks for it among packages. Whoever runs the bundle may have none, so the
 * native part lies beside the bundle, for each C library that koffi has one for, and is loaded by its path. What the JavaScript
 * part adds are names that koffi itself discourages.
 */
const NATIVE = new URL('../node_modules/@koromix/', import.meta.url);
const NATIVE_CODE = `
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
function load() {
  let problem;
  for (const library of ['linux', 'musl']) {
    const file = fileURLToPath(new URL('./koffi-' + library + '-' + process.arch + '.node', import.meta.url));
    if (!existsSync(file)) continue;
    const found = { exports: {} };
    try {
      process.dlopen(found, file);
      return found.exports;
    } catch (error) {
      problem ??= error;
    }
  }
  throw problem ?? new Error('the native part of koffi for ' + process.platform + '-' + process.arch + ' is not beside the program');
}
export default load();
`;
const loadNative: Plugin = {
  name: 'load-native',
  setup(bundler) {
    bundler.onResolve({ filter: /^koffi$/ }, ({ path }) => ({ path, namespace: 'native' }));
    bundler.onLoad({ filter: /.*/, namespace: 'native' }, () => ({
      contents: NATIVE_CODE,
      resolveDir: import.meta.dirname,
    }));
  },
};

/** `@koromix/koffi-linux-x64/musl_x64/koffi.node` → `koffi-musl-x64.node`. npm has installed those that can run here. */
function copyNative(to: string): void {
  const packages = existsSync(NATIVE) ? readdirSync(NATIVE).filter(name => name.startsWith('koffi-linux-')) : [];
  for (const name of packages) {
    for (const folder of readdirSync(new URL(`${name}/`, NATIVE), { withFileTypes: true })) {
      if (!folder.isDirectory()) continue;
      const file = new URL(`${name}/${folder.name}/koffi.node`, NATIVE);
      copyFileSync(file, `${to}/koffi-${folder.name.replace('_', '-')}.node`);
    }
  }
}

/** Built beside the old one, which stays whole until the new one is. */
const NEW = `dist-${process.pid}`;

await build({
  entryPoints: { main: 'src/start.ts' },
  outdir: NEW,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  minify: true,
  legalComments: 'none',
  plugins: [evaluateLate, loadNative, takeBuiltinsByName, leaveOut],
  // Packages written for CommonJS call `require` for what Node has built in.
  banner: {
    js: "import{createRequire as createRequireForBundle}from'node:module';const require=createRequireForBundle(import.meta.url);",
  },
  logLevel: 'warning',
});

copyNative(NEW);

const old = `${NEW}-old`;
if (existsSync('dist')) renameSync('dist', old);
renameSync(NEW, 'dist');
rmSync(old, { recursive: true, force: true });

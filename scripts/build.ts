/** Bundles the program into dist/: one entry, late-loaded parts as chunks, so that a start reads only what it uses. */
import { existsSync, renameSync, rmSync } from 'node:fs';
import { build, type Plugin } from 'esbuild';

/**
 * Packages that only some configurations need and that are costly to evaluate (re2js: 10 MiB of tables), evaluated when
 * they are first called. The value is what the code uses of them.
 */
const LATE: Readonly<Record<string, readonly [name: string, ...methods: string[]]>> = { re2js: ['RE2JS', 'compile'] };

const evaluateLate: Plugin = {
  name: 'evaluate-late',
  setup(bundler) {
    bundler.onResolve({ filter: new RegExp(`^(?:${Object.keys(LATE).join('|')})$`) }, ({ path, namespace }) =>
      namespace === 'late' ? undefined : { path, namespace: 'late' },
    );
    bundler.onLoad({ filter: /.*/, namespace: 'late' }, ({ path }) => {
      const [name, ...methods] = LATE[path] ?? [''];
      const members = methods.map(method => `${method}: (...args) => require('${path}').${name}.${method}(...args)`);
      return { contents: `export const ${name} = { ${members.join(', ')} };`, resolveDir: import.meta.dirname };
    });
  },
};

/**
 * Takes what Node has built in as the object that it is. An ES module's `import` of it would read every member first,
 * getters included, and so load what nobody uses (node:http: Node's own undici; node:fs: readline; node:crypto: WebCrypto).
 */
const takeBuiltinsWhole: Plugin = {
  name: 'take-builtins-whole',
  setup(bundler) {
    bundler.onResolve({ filter: /^node:/ }, ({ path }) => ({ path, namespace: 'builtin' }));
    bundler.onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule('${path}');`,
    }));
  },
};

/** Without them pino does all that we ask of it; they start worker threads. */
const UNUSED = ['thread-stream'];
const leaveOut: Plugin = {
  name: 'leave-out',
  setup(bundler) {
    bundler.onResolve({ filter: new RegExp(`^(?:${UNUSED.join('|')})$`) }, ({ path }) => ({
      path,
      namespace: 'unused',
    }));
    bundler.onLoad({ filter: /.*/, namespace: 'unused' }, () => ({ contents: 'module.exports = {};' }));
  },
};

/** Built beside the old one, which stays whole until the new one is. */
const NEW = `dist-${process.pid}`;

await build({
  entryPoints: { main: 'src/main.ts' },
  outdir: NEW,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  minify: true,
  legalComments: 'none',
  plugins: [evaluateLate, takeBuiltinsWhole, leaveOut],
  // Packages written for CommonJS call `require` for what Node has built in.
  banner: {
    js: "import{createRequire as createRequireForBundle}from'node:module';const require=createRequireForBundle(import.meta.url);",
  },
  logLevel: 'warning',
});

const old = `${NEW}-old`;
if (existsSync('dist')) renameSync('dist', old);
renameSync(NEW, 'dist');
rmSync(old, { recursive: true, force: true });

/** Bundles the program into dist/: one entry, late-loaded parts as chunks, so that a start reads only what it uses. */
import { rmSync } from 'node:fs';
import { build } from 'esbuild';

rmSync('dist', { recursive: true, force: true });
await build({
  entryPoints: { main: 'src/main.ts' },
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  minify: true,
  keepNames: false,
  legalComments: 'none',
  sourcemap: false,
  banner: { js: "import{createRequire as createRequireForBundle}from'node:module';const require=createRequireForBundle(import.meta.url);" },
  logLevel: 'warning',
});

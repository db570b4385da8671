/** top. First file of the bundle, and the smallest: what must be said before Node loads the rest (main.ts). */
import { delayOptimizing } from './cli/optimizing.ts';

if (process.argv[2] === 'sidecar') delayOptimizing();
await import('./main.ts');

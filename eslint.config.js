import tseslint from 'typescript-eslint';

const NODE = ['node:*', 'node:*/*'];

/** The floors of docs/architecture.md: each folder may import those listed, and itself. Arrows point down only. */
const FLOORS = {
  api: { folders: [], pure: true },
  http: { folders: [], pure: true },
  x509: { folders: [], pure: true },
  policy: { folders: ['api', 'http', 'x509'], pure: true },
  decision: { folders: ['api', 'http', 'x509', 'policy'], pure: true },
  telemetry: { folders: ['api', 'policy', 'decision'] },
  material: { folders: ['api', 'http', 'x509', 'policy', 'decision', 'telemetry', 'kube'] },
  outbound: { folders: ['api', 'http', 'policy', 'decision', 'material', 'telemetry'] },
  trust: { folders: ['api', 'http', 'x509', 'policy', 'decision', 'telemetry', 'material', 'outbound'] },
  callers: { folders: ['api', 'http', 'policy', 'decision', 'telemetry', 'material', 'limits'] },
  limits: { folders: ['api', 'policy', 'decision', 'telemetry', 'material', 'credentials', 'outbound'] },
  tokens: { folders: ['api', 'http', 'policy', 'decision', 'telemetry', 'material', 'outbound'] },
  devices: { folders: ['api', 'http', 'policy', 'decision', 'telemetry', 'material', 'outbound', 'credentials'] },
  credentials: { folders: ['api', 'http', 'x509', 'policy', 'telemetry', 'material', 'outbound'] },
  kube: { folders: ['api', 'telemetry'] },
  interception: { folders: ['api', 'telemetry'] },
  sources: { folders: ['api', 'policy', 'telemetry', 'material', 'kube'] },
  'policy-tests': { folders: ['api', 'http', 'x509', 'policy', 'decision', 'telemetry', 'material', 'sources'] },
  convert: { folders: ['api', 'policy'] },
  injector: { folders: ['api', 'x509', 'policy', 'telemetry', 'material', 'kube', 'interception', 'sources'] },
  controller: {
    folders: [
      'api',
      'http',
      'x509',
      'policy',
      'decision',
      'telemetry',
      'material',
      'outbound',
      'credentials',
      'trust',
      'tokens',
      'kube',
      'sources',
      'injector',
      'interception',
      'policy-tests',
    ],
  },
  proxy: {
    folders: [
      'api',
      'http',
      'x509',
      'policy',
      'decision',
      'telemetry',
      'material',
      'credentials',
      'trust',
      'limits',
      'callers',
      'tokens',
      'devices',
      'outbound',
      'sources',
      'interception',
    ],
  },
  demo: { folders: ['api', 'http', 'x509', 'cli'] },
};

const all = Object.keys(FLOORS).concat('cli');

function floorRule([folder, { folders, pure = false }]) {
  const banned = all.filter(other => other !== folder && !folders.includes(other));
  const patterns = banned.map(other => ({
    regex: `^\\.\\./(?:\\.\\./)*${other}(?:/|$)`,
    message: `src/${folder} stands below src/${other}: arrows point down only (docs/architecture.md).`,
  }));
  if (pure) patterns.push({ group: NODE, message: `src/${folder} is pure: no Node, no I/O.` });
  return {
    files: [`src/${folder}/**/*.ts`],
    ignores: ['**/*.test.ts', '**/testing/**'],
    rules: { 'no-restricted-imports': ['error', { patterns }] },
  };
}

export default tseslint.config(
  { ignores: ['dist*', 'node_modules', '**/*.js', 'test/vectors'] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-confusing-void-expression': 'off',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
      eqeqeq: 'error',
      'no-console': 'error',
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'Take the clock as an argument.' },
        { object: 'Math', property: 'random', message: 'Take randomness as an argument.' },
        { object: 'process', property: 'exit', message: 'Only src/main.ts ends the process.' },
      ],
    },
  },
  ...Object.entries(FLOORS).map(floorRule),
  {
    files: [
      'test/**/*.ts',
      'bench/**/*.ts',
      'cluster/**/*.ts',
      'scripts/**/*.ts',
      'src/main.ts',
      'src/cli/**/*.ts',
      'src/demo/**/*.ts',
      '**/*.test.ts',
    ],
    rules: { 'no-console': 'off', 'no-restricted-properties': 'off' },
  },
  {
    // node:test returns a promise that the runner itself awaits.
    files: ['**/*.test.ts', 'test/cluster/node/**/*.ts'],
    rules: {
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', name: ['test', 'it', 'describe', 'suite'], package: 'node:test' },
          ],
        },
      ],
    },
  },
);

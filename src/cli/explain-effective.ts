/** `explain --effective`: which steps run for each operation, in which order, and where each comes from (S1–S4). */
import { describeEffective, type EffectiveStep } from '../policy/effective.ts';
import type { Route } from '../policy/model.ts';
import type { Io } from './io.ts';
import { createPaint, renderTable, type Cell, type Paint } from './text.ts';

/** Operations with the same pipeline are told once. */
interface Group {
  readonly routes: readonly Route[];
  readonly steps: readonly EffectiveStep[];
}

function groupRoutes(routes: readonly Route[]): readonly Group[] {
  const groups = new Map<unknown, Route[]>();
  for (const route of routes) {
    const known = groups.get(route.pipeline);
    if (known === undefined) groups.set(route.pipeline, [route]);
    else known.push(route);
  }
  return [...groups.values()].flatMap(own => {
    const [first] = own;
    return first === undefined ? [] : [{ routes: own, steps: describeEffective(first) }];
  });
}

const HEADER = ['PART', 'SCOPE', 'POLICY/STEP', 'TYPE', 'NOTE'] as const;

const noteOf = ({ sealed, audit, widened, overridden, when, branch }: EffectiveStep): string =>
  [
    branch === undefined ? '' : `in ${branch}`,
    when === undefined ? '' : `when ${when}`,
    sealed ? '' : 'unsealed',
    audit ? 'audit' : '',
    widened ? 'its operation does not exist: applies to the whole Api' : '',
    overridden.length === 0 ? '' : `a sealed broader policy has the last word on ${overridden.join(', ')}`,
  ]
    .filter(text => text !== '')
    .join('; ');

const rowOf = (step: EffectiveStep): Cell[] => [
  { text: step.part },
  { text: step.scope },
  { text: `${step.policy.replace(/^\S+ /, '')}/${step.step}` },
  { text: step.type },
  { text: noteOf(step), ...(step.audit ? { colour: 'yellow' as const } : {}) },
];

/** What the back end gets (S5). */
export function tellBackend({ pipeline }: Route): string {
  const { certificateCredential: certificate, headerCredential: header, hidesAuthorization } = pipeline;
  const parts = [
    certificate === undefined ? '' : `the certificate of ${certificate}`,
    header === undefined ? '' : `the header of ${header}`,
    hidesAuthorization === true ? 'no Authorization of the client' : '',
  ].filter(text => text !== '');
  return parts.join(', ');
}

const STANCE = {
  Enforced: '',
  AuditOnly: 'Only Audit policies authenticate: every request passes as AuditPermit.\n',
  Never: 'No step authenticates: every request that no step answers is 403 NoPolicyMatches.\n',
} as const;

function renderGroup({ routes, steps }: Group, paint: Paint, columns: number): string {
  const [first] = routes;
  if (first === undefined) return '';
  const backend = tellBackend(first);
  const names = routes.map(({ operation, template }) => `${operation ?? 'no operation'} (${template})`);
  const table = steps.length === 0 ? 'no steps\n' : renderTable(HEADER, steps.map(rowOf), { paint, columns });
  return `${paint('bold', `Api ${first.api.key}`)}  ${names.join(', ')}\n${table}${STANCE[first.pipeline.authenticates]}${backend === '' ? '' : `The app gets ${backend}.\n`}`;
}

const describeGroup = ({ routes, steps }: Group): Readonly<Record<string, unknown>> => {
  const [first] = routes;
  return {
    api: first?.api.key,
    operations: routes.map(({ operation, template }) => ({ operation: operation ?? null, template })),
    authenticates: first?.pipeline.authenticates,
    credentials: { certificate: first?.pipeline.certificateCredential, header: first?.pipeline.headerCredential },
    steps,
  };
};

export function renderEffective(routes: readonly Route[], output: 'text' | 'json', io: Io): void {
  const groups = groupRoutes(routes);
  if (output === 'json') {
    io.stdout.write(`${JSON.stringify(groups.map(describeGroup), undefined, 2)}\n`);
    return;
  }
  const paint = createPaint(io.isTTY && io.env['NO_COLOR'] === undefined);
  const columns = io.isTTY ? io.columns : Infinity;
  io.stdout.write(groups.map(group => renderGroup(group, paint, columns)).join('\n'));
}

/** `sallyport status --cluster`: what is in force, one line for each workload. */
import { readCluster } from './cluster-read.ts';
import { withCluster, type ClusterFlags } from './cluster-connection.ts';
import { describeWorkloads, findWorst, type WorkloadStatus } from './cluster-status.ts';
import { EXIT, type Io } from './io.ts';
import { showDuration } from './status-text.ts';
import { createPaint, renderTable, type Cell } from './text.ts';

interface Flags extends ClusterFlags {
  readonly namespace: string | undefined;
  readonly 'all-namespaces': boolean;
  readonly output: 'text' | 'json';
}

export const showWorkloads = (flags: Flags, io: Io): Promise<number> =>
  withCluster('status', flags, io, async (client, own) => {
    const namespace = flags['all-namespaces'] ? undefined : (flags.namespace ?? own);
    const { signal } = new AbortController();
    const view = await readCluster({ client, namespace, signal, everything: false });
    const now = Date.now();
    const workloads = describeWorkloads(view, now);
    for (const sentence of view.notChecked) io.stderr.write(`not known: ${sentence}\n`);
    if (!view.installed) io.stderr.write('this cluster does not know the kinds of sallyport.dev; install the chart\n');
    if (flags.output === 'json')
      io.stdout.write(`${JSON.stringify({ workloads: workloads.map(tellTimes) }, undefined, 2)}\n`);
    else if (workloads.length > 0) io.stdout.write(renderWorkloads(workloads, now, io));
    else
      io.stderr.write(
        `no workload of ${namespace === undefined ? 'the cluster' : `namespace ${namespace}`} is selected by an Api or opted in\n`,
      );
    return EXIT.ok;
  });

const tellTimes = ({ certificateEnds, ...rest }: WorkloadStatus): unknown => ({
  ...rest,
  ...(certificateEnds === undefined ? {} : { certificateEnds: new Date(certificateEnds).toISOString() }),
});

const HEADER = [
  'NAMESPACE',
  'WORKLOAD',
  'INJECTED',
  'READY',
  'PODS',
  'GENERATION',
  'SIDECAR',
  'KEYS',
  'CERTIFICATE',
  'WARNINGS',
];

export function renderWorkloads(
  workloads: readonly WorkloadStatus[],
  now: number,
  { isTTY, columns, env }: Pick<Io, 'isTTY' | 'columns' | 'env'>,
): string {
  const paint = createPaint(isTTY && env['NO_COLOR'] === undefined);
  const rows = workloads.map(workload => describeRow(workload, now));
  return renderTable(HEADER, rows, { paint, columns: isTTY ? columns : Infinity });
}

function describeRow(workload: WorkloadStatus, now: number): readonly Cell[] {
  const { namespace, kind, name, pods, versions, keyAgeMs, certificateEnds, warnings } = workload;
  const ends = certificateEnds === undefined ? undefined : certificateEnds - now;
  const all = (count: number): Cell => ({ text: String(count), colour: count === pods.total ? 'green' : 'red' });
  return [
    { text: namespace },
    { text: `${kind.toLowerCase()}/${name}` },
    all(pods.injected),
    { text: String(pods.ready), ...(pods.ready === pods.total ? {} : { colour: 'yellow' }) },
    { text: String(pods.total) },
    describeGeneration(workload),
    { text: versions.length === 0 ? '-' : versions.join(', ') },
    { text: keyAgeMs === undefined ? '-' : showDuration(keyAgeMs / 1000) },
    ends === undefined
      ? { text: '-' }
      : ends <= 0
        ? { text: 'ended', colour: 'red' }
        : { text: `in ${showDuration(ends / 1000)}` },
    { text: warnings.length === 0 ? '-' : warnings.join('; '), ...(warnings.length === 0 ? {} : { colour: 'yellow' }) },
  ];
}

/** `7/7 on 12/12`: the generation that the counts are of, the newest; pods that enforce it, pods that it selects. */
function describeGeneration({ policies }: WorkloadStatus): Cell {
  const worst = findWorst(policies);
  if (worst === undefined) return { text: 'no policy', colour: 'yellow' };
  const { observed, generation, enforcing = 0, matched = 0 } = worst;
  if (observed === undefined) return { text: `?/${generation}`, colour: 'yellow' };
  const isDone = observed === generation && enforcing === matched;
  return { text: `${observed}/${generation} on ${enforcing}/${matched}`, colour: isDone ? 'green' : 'yellow' };
}

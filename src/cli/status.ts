/** `sallyport status`: what a running sidecar has in force. */
import { readMembers, socketOption, withAdmin } from './admin-client.ts';
import { EXIT, type RunCommand } from './io.ts';
import { contextOption, kubeconfigOption } from './cluster-connection.ts';
import { choiceOption, runCommandLine, switchOption, textOption, type Command } from './options.ts';
import { renderStatus } from './status-text.ts';
import { createPaint } from './text.ts';

const STATUS = {
  name: 'status',
  description: [
    'Shows what a running sidecar has in force: generation and problems of the configuration, keys of issuers and their ' +
      'age, certificates and their expiry, connections, and everything that weakens.',
    'With --cluster: a table of the workloads of a live cluster, from their pods and from the status that the controller ' +
      'writes: pods with a sidecar, ready ones and all; of the policy that is furthest from being in force its generation ' +
      'in force and its newest, and on how many pods; age of issuers’ keys; what warns.',
    'Exit code 0 when it is ready, 1 when it is not, 69 when there is none; with --cluster 0.',
  ],
  options: {
    'admin-socket': socketOption,
    cluster: switchOption({
      description: 'A table of the workloads of a live cluster instead',
      variable: 'SALLYPORT_STATUS_CLUSTER',
    }),
    namespace: textOption({
      placeholder: 'NAME',
      description: 'Namespace of --cluster; default: that of the kubeconfig’s context',
      short: 'n',
      variable: 'SALLYPORT_STATUS_NAMESPACE',
    }),
    'all-namespaces': switchOption({ description: 'Every namespace of --cluster', short: 'A' }),
    context: contextOption,
    kubeconfig: kubeconfigOption,
    output: choiceOption(['text', 'json'], 'text', { description: 'Form of the answer', short: 'o' }),
  },
  examples: [
    { comment: 'A sidecar on this machine', line: 'sallyport status --admin-socket ./admin.sock' },
    { comment: 'For a program', line: 'sallyport status --admin-socket ./admin.sock -o json' },
    { comment: 'A sidecar in a pod', line: 'kubectl exec POD -c sallyport -- sallyport status' },
    { comment: 'Every workload of a cluster', line: 'sallyport status --cluster -A' },
  ],
} satisfies Command;

export const runStatus: RunCommand = (args, io) =>
  runCommandLine(STATUS, args, io, async values => {
    if (values.cluster) return (await import('./cluster-status-table.ts')).showWorkloads(values, io);
    return withAdmin(values['admin-socket'], { method: 'GET', path: '/status' }, io, ({ status, body }) => {
      if (status !== 200) {
        io.stderr.write(`sallyport status: the sidecar answered ${status}\n`);
        return EXIT.unavailable;
      }
      const style = { paint: createPaint(io.isTTY), columns: io.isTTY ? io.columns : Infinity };
      io.stdout.write(values.output === 'json' ? `${JSON.stringify(body, undefined, 2)}\n` : renderStatus(body, style));
      return readMembers(body)['ready'] === false ? EXIT.negative : EXIT.ok;
    });
  });

/** `sallyport drain`: takes a running sidecar out of service. */
import { socketOption, withAdmin } from './admin-client.ts';
import { EXIT, type RunCommand } from './io.ts';
import { runCommandLine, type Command } from './options.ts';

const DRAIN = {
  name: 'drain',
  description: [
    'Takes a running sidecar out of service without refusing a request: it turns not ready and closes each connection ' +
      'after its answer. It goes on accepting and does not end; SIGTERM ends it.',
  ],
  options: { 'admin-socket': socketOption },
  examples: [
    { comment: 'A sidecar on this machine', line: 'sallyport drain --admin-socket ./admin.sock' },
    { comment: 'A sidecar in a pod', line: 'kubectl exec POD -c sallyport -- sallyport drain' },
  ],
} satisfies Command;

export const runDrain: RunCommand = (args, io) =>
  runCommandLine(DRAIN, args, io, values =>
    withAdmin(values['admin-socket'], { method: 'POST', path: '/drain' }, io, ({ status }) => {
      if (status >= 300) {
        io.stderr.write(`sallyport drain: the sidecar answered ${status}\n`);
        return EXIT.unavailable;
      }
      io.stdout.write('draining\n');
      return EXIT.ok;
    }),
  );

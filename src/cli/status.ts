/** `sallyport status`: what a running sidecar has in force. */
import { readMembers, socketOption, withAdmin } from './admin-client.ts';
import { EXIT, type RunCommand } from './io.ts';
import { choiceOption, runCommandLine, type Command } from './options.ts';
import { renderStatus } from './status-text.ts';
import { createPaint } from './text.ts';

const STATUS = {
  name: 'status',
  description: [
    'Shows what a running sidecar has in force: generation and problems of the configuration, keys of issuers and their ' +
      'age, certificates and their expiry, connections, and everything that weakens.',
    'Exit code 0 when it is ready, 1 when it is not, 69 when there is none.',
  ],
  options: {
    'admin-socket': socketOption,
    output: choiceOption(['text', 'json'], 'text', { description: 'Form of the answer', short: 'o' }),
  },
  examples: [
    { comment: 'A sidecar on this machine', line: 'sallyport status --admin-socket ./admin.sock' },
    { comment: 'For a program', line: 'sallyport status --admin-socket ./admin.sock -o json' },
    { comment: 'A sidecar in a pod', line: 'kubectl exec POD -c sallyport -- sallyport status' },
  ],
} satisfies Command;

export const runStatus: RunCommand = (args, io) =>
  runCommandLine(STATUS, args, io, values =>
    withAdmin(values['admin-socket'], { method: 'GET', path: '/status' }, io, ({ status, body }) => {
      if (status !== 200) {
        io.stderr.write(`sallyport status: the sidecar answered ${status}\n`);
        return EXIT.unavailable;
      }
      const style = { paint: createPaint(io.isTTY), columns: io.isTTY ? io.columns : Infinity };
      io.stdout.write(values.output === 'json' ? `${JSON.stringify(body, undefined, 2)}\n` : renderStatus(body, style));
      return readMembers(body)['ready'] === false ? EXIT.negative : EXIT.ok;
    }),
  );

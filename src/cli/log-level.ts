/** `sallyport log-level`: changes how much a running sidecar logs. */
import { socketOption, withAdmin } from './admin-client.ts';
import { listWords } from '../api/words.ts';
import { EXIT, type RunCommand } from './io.ts';
import { quote, reportUsage, runCommandLine, suggest, type Command } from './options.ts';

const LEVELS = ['debug', 'info', 'warn', 'error'];

const LOG_LEVEL = {
  name: 'log-level',
  description: [`Changes how much a running sidecar logs, until it ends: ${LEVELS.join(', ')}.`],
  options: { 'admin-socket': socketOption },
  positionals: { name: 'LEVEL', min: 1, max: 1 },
  examples: [
    { comment: 'See more for a while', line: 'sallyport log-level debug --admin-socket ./admin.sock' },
    { comment: 'A sidecar in a pod', line: 'kubectl exec POD -c sallyport -- sallyport log-level info' },
  ],
} satisfies Command;

export const runLogLevel: RunCommand = (args, io) =>
  runCommandLine(LOG_LEVEL, args, io, async (values, [level = '']) => {
    if (!LEVELS.includes(level)) {
      const known = `write ${listWords(LEVELS, 'or')}`;
      reportUsage('log-level', [`${quote(level)} is not a level: ${known}${suggest(level, LEVELS)}`], io);
      return EXIT.usage;
    }
    return withAdmin(values['admin-socket'], { method: 'POST', path: '/log-level', body: { level } }, io, answer => {
      if (answer.status >= 300) {
        io.stderr.write(`sallyport log-level: the sidecar answered ${answer.status}\n`);
        return EXIT.unavailable;
      }
      io.stdout.write(`${level}\n`);
      return EXIT.ok;
    });
  });

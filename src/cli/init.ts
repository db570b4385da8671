/** `sallyport init`: writes the interception rules of a pod and ends. Runs in an init container, before the sidecar and the app. */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { PORTS } from '../api/names.ts';
import { applyRuleset, type Applied, type RunNft } from '../interception/apply.ts';
import { createLocalAddresses } from '../interception/local-addresses.ts';
import { renderRuleset, type InterceptionRules } from '../interception/ruleset.ts';
import { EXIT, type Io, type RunCommand } from './io.ts';
import {
  choiceOption,
  numberOption,
  parsedOption,
  quote,
  reportUsage,
  runCommandLine,
  switchOption,
  UsageProblem,
  type Command,
} from './options.ts';

const INIT = {
  name: 'init',
  description: [
    'Writes the rules that bring every TCP connection from outside to the sidecar of this pod, over IPv4 and IPv6, whatever ' +
      'its port, and that drop everything else but ICMP. Connections inside the pod stay as they are.',
    'Needs nft, and the capability NET_ADMIN as user 0: it is meant for an init container. It may run again, and ends well ' +
      'only when the kernel has the rules. Exit code 0 when they are in force, 1 when the kernel holds others, 69 when ' +
      'something is missing.',
  ],
  options: {
    interception: choiceOption(['transparent'], 'transparent', {
      description: 'How connections come to the sidecar; explicit needs no rules, and so no init.',
    }),
    'proxy-port': numberOption(
      { min: 1, max: 65535, fallback: PORTS.proxy },
      { placeholder: 'PORT', description: 'Where the sidecar takes intercepted connections.' },
    ),
    'exclude-ports': parsedOption(readPorts, {
      placeholder: 'PORT,…',
      description: `TCP ports that anybody may reach unjudged; ${PORTS.health} (health, metrics and probes) is always one.`,
    }),
    'udp-ports': parsedOption(readPorts, {
      placeholder: 'PORT,…',
      description: 'UDP ports that anybody may reach; absent: none.',
    }),
    print: switchOption({ description: 'Prints the rules as nft reads them, and writes none.' }),
  },
  examples: [
    { comment: 'In an init container', line: 'sallyport init --proxy-port 15190 --exclude-ports 15191' },
    { comment: 'The rules, to read them', line: 'sallyport init --udp-ports 53 --print' },
  ],
} satisfies Command;

export const runInit: RunCommand = (args, io) =>
  runCommandLine(INIT, args, io, async values => {
    const rules: InterceptionRules = {
      proxyPort: values['proxy-port'],
      excludePorts: [...new Set([PORTS.health, ...(values['exclude-ports'] ?? [])])],
      udpPorts: values['udp-ports'] ?? [],
    };
    if (rules.excludePorts.includes(rules.proxyPort)) {
      reportUsage('init', [`port ${rules.proxyPort} takes what is intercepted, so it cannot be excluded`], io);
      return EXIT.usage;
    }
    if (values.print) {
      io.stdout.write(renderRuleset(rules));
      return EXIT.ok;
    }
    const applied = await applyRuleset(rules, { nft: runNft, processStatus: readProcessStatus });
    return report(applied, rules, io);
  });

function report(applied: Applied, { excludePorts, udpPorts }: InterceptionRules, io: Io): number {
  switch (applied.kind) {
    case 'applied': {
      const local = createLocalAddresses(networkInterfaces, () => 0).list();
      const where = local.length === 0 ? 'this pod, which has no address yet' : local.join(', ');
      const udp = udpPorts.length === 0 ? 'no UDP port is open' : `UDP ports ${udpPorts.join(', ')} are open`;
      io.stdout.write(
        `every TCP connection to ${where} goes to the sidecar, but for ports ${excludePorts.join(', ')}; ${udp}\n`,
      );
      return EXIT.ok;
    }
    case 'missing':
      io.stderr.write(`sallyport init: ${applied.problem}; ${applied.fix}\n`);
      return EXIT.unavailable;
    case 'wrong':
      io.stderr.write('sallyport init: the kernel does not do what the rules say; the pod must not start:\n');
      for (const gap of applied.gaps) io.stderr.write(`  ${gap}\n`);
      return EXIT.negative;
  }
}

function readPorts(text: string): readonly number[] {
  return text.split(',').map(part => {
    const port = /^\d{1,5}$/.test(part.trim()) ? Number(part) : 0;
    if (port < 1 || port > 65535) {
      throw new UsageProblem(`is ${quote(text)}; must be ports from 1 to 65535, separated by commas`);
    }
    return port;
  });
}

/** Where nothing tells, the kernel has the last word. */
const readProcessStatus = (): Promise<string | undefined> =>
  readFile('/proc/self/status', 'latin1').catch(() => undefined);

const runNft: RunNft = (args, input) =>
  new Promise(resolve => {
    const child = spawn('nft', args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
    // It may have ended before it read all: its exit code tells.
    child.stdin.on('error', () => undefined);
    child.on('error', () => resolve({ code: undefined, stdout, stderr }));
    child.on('close', code => resolve({ code: code ?? 1, stdout, stderr }));
    child.stdin.end(input);
  });

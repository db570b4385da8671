/** `sallyport convert FILE.xml`: policies of Azure API Management become manifests. */
import { readFile } from 'node:fs/promises';
import { basename, extname, resolve } from 'node:path';
import { convertPolicy, type ConvertOptions } from '../convert/convert.ts';
import { kebab } from '../convert/conversion.ts';
import { DocumentProblem } from '../convert/policy-document.ts';
import { renderConverted, renderNote } from '../convert/render.ts';
import { EXIT, type Io } from './io.ts';
import { choiceOption, parsedOption, runCommandLine, textOption, UsageProblem, type Command } from './options.ts';

const OPTIONS = {
  name: parsedOption(readName, {
    placeholder: 'NAME',
    description: 'Name of the policy; names of what stands beside it begin with it. Default: the file’s name',
  }),
  namespace: textOption({ placeholder: 'NAME', description: 'Namespace written into the manifests; default: none' }),
  scope: choiceOption(['namespace', 'cluster'], 'namespace', {
    description:
      'Whom the policy is for when --api names nobody: every Api of its namespace, or of the cluster (global)',
  }),
  api: textOption({
    placeholder: 'NAME[/OPERATION]',
    description: 'The Api that the policy is for, and its operation',
  }),
};

const COMMAND: Command<typeof OPTIONS> = {
  name: 'convert',
  description: [
    'Turns policy documents of Azure API Management into manifests, on standard output. What needs a person is named with its line, on standard error and in comments: secrets and certificates that the document does not hold, and what could not be converted.',
    'What protected and could not be converted becomes a step that denies, so that nothing is open by accident. The exit code is 1 when something was not converted.',
  ],
  positionals: { name: 'FILE.xml', min: 1, max: 1 },
  options: OPTIONS,
  examples: [
    { comment: 'The policy of one API', line: 'sallyport convert fleet.xml --api fleet --namespace shop > fleet.yaml' },
    {
      comment: 'The global policy, then everything checked',
      line: 'sallyport convert global.xml --scope cluster --namespace sallyport-system | sallyport check -',
    },
  ],
};

export function runConvert(args: readonly string[], io: Io): Promise<number> {
  return runCommandLine(COMMAND, args, io, async ({ name, namespace, scope, api }, [path = '']) => {
    const source =
      path === '-' && io.stdin !== undefined ? await io.stdin() : await readSource(resolve(io.cwd, path), path, io);
    if (source === undefined) return EXIT.unavailable;
    const options: ConvertOptions = {
      name: name ?? (path === '-' ? 'converted' : kebab(basename(path, extname(path)))),
      ...(namespace === undefined ? {} : { namespace }),
      target: api === undefined ? { scope } : readTarget(api),
    };
    try {
      const converted = convertPolicy(source, options);
      io.stdout.write(renderConverted(converted, path));
      for (const note of converted.notes) io.stderr.write(`${renderNote(note, path)}\n`);
      return converted.notes.some(({ severity }) => severity === 'lost') ? EXIT.negative : EXIT.ok;
    } catch (error) {
      if (!(error instanceof DocumentProblem)) throw error;
      io.stderr.write(`${path}:${error.line}: ${error.message}\n`);
      return EXIT.negative;
    }
  });
}

async function readSource(file: string, path: string, io: Io): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'EIO';
    io.stderr.write(`sallyport convert: ${path} cannot be read (${code})\n`);
    return undefined;
  }
}

function readTarget(text: string): ConvertOptions['target'] {
  const [api = '', operation] = text.split('/', 2);
  return { api, ...(operation === undefined ? {} : { operation }) };
}

function readName(text: string): string {
  if (/^[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?$/.test(text)) return text;
  throw new UsageProblem('must be lower-case letters, digits and -, at most 50');
}

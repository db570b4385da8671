/** The command itself: arguments, files, exit codes, and the three ways of printing. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { runCheck } from '../../src/cli/check.ts';
import { BASE, manifest } from './check-manifests.ts';

const BAD = manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  mode: Adit
  request: [{name: rate, rateLimit: {calls: 0, period: 1s}}]
`;
const QUESTIONABLE = manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: b, namespace: shop}
spec:
  targetSelectors: [{kind: Api, matchLabels: {product: silver}}]
`;

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

interface Folder {
  run(args: readonly string[], isTTY?: boolean): Promise<Run>;
}

async function makeFolder(context: TestContext, files: Readonly<Record<string, string>>): Promise<Folder> {
  const cwd = await mkdtemp(join(tmpdir(), 'sallyport-check-'));
  context.after(() => rm(cwd, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(cwd, name, '..'), { recursive: true });
    await writeFile(join(cwd, name), text);
  }
  return {
    async run(args, isTTY = false) {
      let [out, err] = ['', ''];
      const stdout = { write: (text: string) => void (out += text) };
      const stderr = { write: (text: string) => void (err += text) };
      const io = { stdout, stderr, isTTY, columns: 80, env: {}, cwd, program: [], stdin: () => Promise.resolve(BAD) };
      const code = await runCheck(args, io);
      return { code, out, err };
    },
  };
}

describe('sallyport check', () => {
  it('exits 0 and prints nothing but a summary when all is well', async context => {
    const folder = await makeFolder(context, { 'base.yaml': BASE });
    assert.deepEqual(await folder.run(['base.yaml']), { code: 0, out: '', err: '5 objects checked: no problems\n' });
  });

  it('exits 1 and prints each error as file:line:field: problem, fix', async context => {
    const folder = await makeFolder(context, { 'm/base.yaml': BASE, 'm/bad.yaml': BAD });
    assert.deepEqual(await folder.run(['m']), {
      code: 1,
      out: manifest`
m/bad.yaml:5:spec.mode: "Adit" is not known, did you mean "Audit"?
m/bad.yaml:6:spec.request[0].rateLimit.calls: 0 is out of bounds, write a whole number from 1 to 1000000
`,
      err: '6 objects checked: 2 errors, 0 warnings\n',
    });
  });

  it('exits 0 for warnings alone, and prints them after the errors', async context => {
    const folder = await makeFolder(context, { 'a.yaml': QUESTIONABLE, 'b.yaml': BASE, 'c.yaml': BAD });
    const warning =
      'a.yaml:5:spec.targetSelectors[0].matchLabels: warning: selects no Api of this namespace: this target has no effect, label an Api so, or remove the selector\n';
    assert.deepEqual(await folder.run(['a.yaml', 'b.yaml']), {
      code: 0,
      out: warning,
      err: '6 objects checked: 0 errors, 1 warning\n',
    });
    const { code, out } = await folder.run(['a.yaml', 'b.yaml', 'c.yaml']);
    assert.equal(code, 1);
    assert.ok(out.startsWith('c.yaml:5:') && out.endsWith(warning), out);
  });

  it('exits 1 for warnings alone with --strict, in every way of printing', async context => {
    const folder = await makeFolder(context, { 'a.yaml': QUESTIONABLE, 'base.yaml': BASE });
    const files = ['a.yaml', 'base.yaml'];
    const { code, err } = await folder.run(['--strict', ...files]);
    assert.deepEqual([code, err], [1, '6 objects checked: 0 errors, 1 warning\n']);
    assert.equal((await folder.run(['--strict', 'base.yaml'])).code, 0);
    const verdictOf = async (args: readonly string[]): Promise<unknown> => {
      const { out } = await folder.run([...args, '-o', 'json', ...files]);
      const { ok, errors, warnings } = JSON.parse(out) as Readonly<Record<string, unknown>>;
      return { ok, errors, warnings };
    };
    assert.deepEqual(await verdictOf([]), { ok: true, errors: 0, warnings: 1 });
    assert.deepEqual(await verdictOf(['--strict']), { ok: false, errors: 0, warnings: 1 });
    assert.match((await folder.run(['-o', 'junit', ...files])).out, /tests="1" failures="0"/);
    assert.match((await folder.run(['--strict', '-o', 'junit', ...files])).out, /tests="1" failures="1"/);
  });

  it('says in its help that references to what is not there are warnings, and how warnings fail', async context => {
    const folder = await makeFolder(context, {});
    const text = (await folder.run(['--help'])).out.replaceAll(/\s+/g, ' ');
    assert.match(text, /Warnings alone do not count unless --strict is given: a reference to a Secret or ConfigMap/);
  });

  it('counts what it has read for the sake of its objects', async context => {
    const others = manifest`
apiVersion: v1
kind: Secret
metadata: {name: a, namespace: shop}
stringData: {k: v}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: shop}
data: {k: v}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
`;
    const folder = await makeFolder(context, { 'base.yaml': BASE, 'others.yaml': others });
    const { err } = await folder.run(['base.yaml', 'others.yaml']);
    assert.equal(err, '5 objects checked, 3 more read: no problems\n');
  });

  it('prints JSON for programs', async context => {
    const folder = await makeFolder(context, { 'base.yaml': BASE, 'bad.yaml': BAD });
    const { code, out, err } = await folder.run(['-o', 'json', 'base.yaml', 'bad.yaml']);
    assert.equal(code, 1);
    assert.equal(err, '');
    assert.deepEqual(JSON.parse(out), {
      ok: false,
      errors: 2,
      warnings: 0,
      problems: [
        {
          severity: 'error',
          file: 'bad.yaml',
          line: 5,
          object: 'AuthPolicy shop/a',
          field: 'spec.mode',
          problem: '"Adit" is not known',
          fix: 'did you mean "Audit"?',
        },
        {
          severity: 'error',
          file: 'bad.yaml',
          line: 6,
          object: 'AuthPolicy shop/a',
          field: 'spec.request[0].rateLimit.calls',
          problem: '0 is out of bounds',
          fix: 'write a whole number from 1 to 1000000',
        },
      ],
    });
  });

  it('groups by file, in colour, on a terminal', async context => {
    const folder = await makeFolder(context, { 'base.yaml': BASE, 'bad.yaml': BAD });
    const { out, err } = await folder.run(['base.yaml', 'bad.yaml'], true);
    assert.equal(err, '');
    assert.equal(
      out.replaceAll('\u001b[', '<').replaceAll(/(<\d+)m/g, '$1>'),
      manifest`
<1>bad.yaml<22>
  <2>5<22>  <31>error<39> AuthPolicy shop/a spec.mode: "Adit" is not known
     <2>did you mean "Audit"?<22>
  <2>6<22>  <31>error<39> AuthPolicy shop/a spec.request[0].rateLimit.calls: 0 is out of bounds
     <2>write a whole number from 1 to 1000000<22>

<31>6 objects checked: 2 errors, 0 warnings<39>
`,
    );
  });

  it('reads standard input where a file is called -', async context => {
    const folder = await makeFolder(context, { 'base.yaml': BASE });
    const { code, out } = await folder.run(['base.yaml', '-']);
    assert.equal(code, 1);
    assert.match(out, /^-:5:spec.mode: "Adit" is not known/);
  });

  it('says what cannot be read', async context => {
    const folder = await makeFolder(context, {
      'empty/readme.txt': 'x',
      'large.yaml': '#'.repeat(4 * 1024 * 1024 + 1),
    });
    const { code, out } = await folder.run(['missing.yaml', 'empty', 'large.yaml']);
    assert.equal(code, 1);
    assert.equal(
      out,
      manifest`
empty:1: the folder holds no manifests, put files that end in .yaml, .yml or .json into it
large.yaml:1: the file is larger than 4Mi, split it
missing.yaml:1: the file does not exist, name another
`,
    );
  });

  it('says that a folder holds manifests only in sub-folders, and names them', async context => {
    const folder = await makeFolder(context, {
      'm/base/a.yaml': BASE,
      'm/overlays/prod/b.yaml': BASE,
      'm/.git/c.yaml': BASE,
    });
    const { code, out } = await folder.run(['m']);
    assert.equal(code, 1);
    assert.equal(
      out,
      'm:1: the folder holds manifests only in sub-folders, which are not read, name base and 1 more instead\n',
    );
    assert.match((await folder.run(['--help'])).out, /sub-folders are not/);
  });

  it('checks the workload that is named: only a pod with both labels makes two Apis conflict', async context => {
    const rival = BASE.replaceAll('name: fleet', 'name: rival').replace('{app: fleet}', '{tier: web}');
    const api = rival.slice(rival.lastIndexOf('---'));
    const policy = manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  targetRefs: [{kind: Api, name: rival}]
  request: [{name: a, removeHeaders: [x-a]}]
`;
    const folder = await makeFolder(context, { 'base.yaml': BASE, 'rival.yaml': api, 'policy.yaml': policy });
    assert.equal((await folder.run(['.'])).code, 0);
    const { code, out } = await folder.run(['--workload-labels', 'app=fleet,tier=web', '.']);
    assert.equal(code, 1);
    assert.match(out, /^rival.yaml:9:spec.operations\[0\].path: matches the same requests as Api shop\/fleet/);
    assert.equal((await folder.run(['--workload-labels', 'app=fleet,tier=web', '--namespace', 'other', '.'])).code, 0);
  });

  it('gives objects without a namespace the one that is named', async context => {
    const folder = await makeFolder(context, {
      'base.yaml': BASE,
      'a.yaml': QUESTIONABLE.replace(', namespace: shop', ''),
    });
    const { out } = await folder.run(['-o', 'json', '--namespace', 'shop', 'base.yaml', 'a.yaml']);
    assert.match(out, /AuthPolicy shop\/b/);
  });

  it('exits 64 for a wrong command line and names each mistake', async context => {
    const folder = await makeFolder(context, {});
    const { code, err } = await folder.run(['--workload-labels', 'app', '-o', 'xml']);
    assert.equal(code, 64);
    assert.match(err, /--workload-labels must be KEY=VALUE/);
    assert.match(err, /-o/);
    assert.match(err, /FILE/);
  });

  it('has help with examples', async context => {
    const folder = await makeFolder(context, {});
    const { code, out } = await folder.run(['--help']);
    assert.equal(code, 0);
    assert.match(out, /sallyport check manifests\//);
  });
});

/** Programs of the system that a test runs for real: where one is missing the test is skipped aloud, and in CI it fails. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** CI sets `SALLYPORT_CLUSTER=required`, so that a skip is a failure there. */
export const mustHavePrograms = process.env['SALLYPORT_CLUSTER'] === 'required';

/** Why a test cannot run, for its `skip` option; false when it can. `debian` is the package that holds the program. */
export function missProgram(program: string, debian = program): string | false {
  const folders = `${process.env['PATH'] ?? ''}${delimiter}/usr/sbin${delimiter}/sbin`.split(delimiter);
  if (folders.some(folder => isExecutable(join(folder, program)))) return false;
  const why = `${program} is not installed: apt-get install ${debian}`;
  if (mustHavePrograms) throw new Error(why);
  return why;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

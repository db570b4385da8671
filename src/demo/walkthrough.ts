/** Commands to paste: the attempts of the demo as curl commands. */
import { INTERNAL_HOST } from './app.ts';
import { ATTEMPTS, type Attempt } from './attempts.ts';
import { LOOPBACK } from './listening.ts';
import { PUBLIC_HOST } from './material.ts';
import type { Scene } from './scene.ts';

export function renderWalkthrough(
  { folder, ports }: Pick<Scene, 'folder' | 'ports'>,
  program: readonly string[],
): string {
  const parts = [
    'Sallyport demo. Running on this machine, until you press Ctrl-C:',
    '',
    `  sidecar      https://${PUBLIC_HOST}:${ports.sidecar}  (${LOOPBACK}), manifests in ${folder}/manifests`,
    `  app          ${LOOPBACK}:${ports.app}, speaks only to who has the mesh certificate`,
    `  issuer       ${LOOPBACK}:${ports.issuer}, as login.example.com`,
    `  device-auth  ${LOOPBACK}:${ports.deviceAuth}, as device-auth.fleet.svc`,
    '',
    'Paste these into another terminal; change a manifest and try again. With --run the demo does all of it by itself.',
    '',
    `cd ${folder}`,
    ...ATTEMPTS.flatMap(attempt => [
      '',
      `# ${attempt.title}: ${describeExpectation(attempt)}`,
      renderCurl(attempt, ports),
    ]),
    '',
    '# what is in force, and how it fares',
    `${program.join(' ')} status --admin-socket admin.sock`,
    `curl -sS http://${LOOPBACK}:${ports.health}/metrics | grep ^sallyport_requests_total`,
    '',
    'The log of the sidecar follows.',
    '',
  ];
  return `${parts.join('\n')}\n`;
}

function describeExpectation({ expect: { status, reason } }: Attempt): string {
  return status === 0 ? 'the connection is refused' : [status, reason].filter(part => part !== undefined).join(' ');
}

/** One command that any shell of the sh family takes. */
export function renderCurl(attempt: Attempt, ports: Scene['ports']): string {
  const { to = 'sidecar', method = 'GET', path, token, device, headers = {}, body } = attempt;
  const [host, port] = to === 'app' ? [INTERNAL_HOST, ports.app] : [PUBLIC_HOST, ports.sidecar];
  const words = [
    'curl -sSi --max-time 10',
    to === 'app' ? '--insecure' : '--cacert ca.crt',
    `--resolve ${host}:${port}:${LOOPBACK}`,
    ...(device === undefined ? [] : [`--cert devices/${device}.crt --key devices/${device}.key`]),
    ...(token === undefined ? [] : [`-H "Authorization: Bearer $(cat tokens/${token}.jwt)"`]),
    ...Object.entries(headers).map(([name, value]) => `-H '${name}: ${value}'`),
    ...(body === undefined ? [] : [`-d '${body}'`]),
    ...(method === 'GET' || body !== undefined ? [] : [`-X ${method}`]),
    `--path-as-is https://${host}:${port}${path}`,
  ];
  return words.join(' ');
}

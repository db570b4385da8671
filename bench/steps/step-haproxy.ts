/** HAProxy with a frontend for each step, and one that forwards. */
import { HAPROXY_DEFAULTS } from '../peers/haproxy.ts';
import type { StepCase } from './step-case.ts';

/** `first` is the port that forwards; each step has the next one. */
export function renderHaproxy(first: number, app: number, steps: readonly StepCase[]): string {
  return [
    HAPROXY_DEFAULTS,
    renderFrontend('forward', first, []),
    ...steps.map((step, at) => renderFrontend(`step-${at}`, first + 1 + at, step.haproxy ?? [])),
    `backend app\n  server app 127.0.0.1:${app}\n`,
  ].join('');
}

const renderFrontend = (name: string, port: number, lines: readonly string[]): string => `frontend ${name}
  bind 127.0.0.1:${port}
${lines.map(line => `  ${line}\n`).join('')}  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  default_backend app
`;

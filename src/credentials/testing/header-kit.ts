/** For tests of the header sorts: one credential with its Secrets, a clock that is set, a token endpoint as a function. */
import type { BackendCredentialSpec } from '../../api/kinds/credential.ts';
import type { Material } from '../../material/material.ts';
import { FetchError } from '../../outbound/fetch-error.ts';
import type { FetchAnswer, FetchOptions } from '../../outbound/fetcher.ts';
import type { HostPort } from '../../policy/allowed-hosts.ts';
import type { Log } from '../../telemetry/telemetry.ts';
import { createCredentials, type CredentialView, type Credentials, type Occasion } from '../credentials.ts';

export const KEY = 'shop/back-end';
export const HOST: HostPort = { name: 'back-end.example', port: 443 };
export const START = 1_800_000_000_000;

export interface Call {
  readonly url: string;
  readonly options: FetchOptions;
}

export interface Scene {
  readonly calls: Call[];
  /** Log lines, with their fields. */
  readonly lines: string[];
  readonly credentials: Credentials;
  now: number;
  /** What the token endpoint answers from now on; may throw. */
  answer: (call: Call) => FetchAnswer | Promise<FetchAnswer>;
  view: CredentialView;
  /** By `name/key` in the namespace shop; what they hold from the next `prepare` on. */
  secrets: Record<string, string | Uint8Array>;
  hosts: Record<string, readonly string[]>;
  prepare(spec: BackendCredentialSpec): CredentialView;
  /** What is sent now: `Name: value`, or undefined. */
  present(occasion?: Partial<Occasion>, host?: HostPort): Promise<string | undefined>;
}

export const json = (value: unknown, status = 200): FetchAnswer => ({
  status,
  headers: {},
  body: new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value)),
});

const NOTHING: CredentialView = {
  clientCertificate: () => undefined,
  present: () => undefined,
  refused: () => undefined,
  status: () => [],
};

export const away = (): never => {
  throw new FetchError('CONNECT', 'login.example.com');
};

export function openScene(secrets: Scene['secrets'] = {}): Scene {
  const lines: string[] = [];
  const note: Log['info'] = (fields, message) => void lines.push(`${message} ${JSON.stringify(fields)}`);
  const material: Material = {
    secret: key => collect(scene.secrets, key),
    configMap: key => collect(scene.secrets, key),
    secretHosts: key => scene.hosts[key],
  };
  const calls: Call[] = [];
  const credentials = createCredentials({
    log: { debug: note, info: note, warn: note, error: note },
    outbound: {
      fetcher: {
        fetch: async (url, options) => {
          calls.push({ url, options });
          return scene.answer({ url, options });
        },
        close: () => Promise.resolve(),
      },
      clock: () => scene.now,
      random: () => 0.5,
    },
  });
  const scene: Scene = {
    calls,
    lines,
    credentials,
    now: START,
    answer: away,
    view: NOTHING,
    secrets,
    hosts: {},
    prepare: spec => {
      scene.view = credentials.prepare(
        new Map([[KEY, { key: KEY, namespace: 'shop', generation: 1, spec }]]),
        material,
      );
      return scene.view;
    },
    present: async (occasion = {}, host = HOST) => {
      const presented = await scene.view.present(KEY, host, { now: scene.now, ...occasion });
      return presented && `${presented.name}: ${presented.value}`;
    },
  };
  return scene;
}

function collect(secrets: Scene['secrets'], key: string): ReadonlyMap<string, Uint8Array> | undefined {
  const [, name = ''] = key.split('/');
  const own = Object.entries(secrets).filter(([at]) => at.startsWith(`${name}/`));
  if (own.length === 0) return undefined;
  return new Map(
    own.map(([at, text]) => [at.slice(name.length + 1), typeof text === 'string' ? Buffer.from(text) : text]),
  );
}

export const secret = (name: string, key: string) => ({ secretKeyRef: { name, key } });

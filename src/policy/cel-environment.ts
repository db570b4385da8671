/** What an expression may read at its place: variables, their members and types. The CEL library checks types against it. */
import { Environment as CelEnvironment } from '@marcbachmann/cel-js';

/** A CEL type by name, or members by name. */
export type Shape = string | Members;
export type Members = ReadonlyMap<string, Shape>;

export interface Environment {
  readonly roots: Members;
  /** Why a name that one might expect is not there: `steps.device` → "runs later". By dotted path. */
  readonly reasons: ReadonlyMap<string, string>;
  /** The library's side; made when first asked for. */
  readonly library: () => CelEnvironment;
}

const LIMITS = { maxAstNodes: 2000, maxDepth: 48, maxListElements: 256, maxMapEntries: 256, maxCallArguments: 8 };

/** What the language has and the library has not. */
const MORE_FUNCTIONS = [
  'string.replace(string, string): string',
  'string.replace(string, string, int): string',
  'int(google.protobuf.Timestamp): int',
  'string(google.protobuf.Timestamp): string',
  'string(google.protobuf.Duration): string',
];

const NO_REASONS: ReadonlyMap<string, string> = new Map();

export function createEnvironment(roots: Members): Environment {
  return { roots, reasons: NO_REASONS, library: lazily(() => createLibrary(roots)) };
}

function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

function createLibrary(roots: Members, types: Readonly<Record<string, Members>> = {}): CelEnvironment {
  const library = new CelEnvironment({ limits: LIMITS, homogeneousAggregateLiterals: false });
  for (const signature of MORE_FUNCTIONS) library.registerFunction(signature, never);
  for (const [name, members] of Object.entries(types)) library.registerType({ name, schema: toSchema(members) });
  for (const [name, shape] of roots) {
    if (typeof shape === 'string') library.registerVariable(name, shape);
    else library.registerVariable({ name, schema: toSchema(shape) });
  }
  return library;
}

/** Only types are checked by the library; cel-program.ts evaluates. */
function never(): never {
  throw new Error('not evaluated here');
}

interface Schema {
  [name: string]: string | Schema;
}

function toSchema(members: Members): Schema {
  const schema = Object.create(null) as Schema;
  for (const [name, shape] of members) schema[name] = typeof shape === 'string' ? shape : toSchema(shape);
  return schema;
}

const STRINGS = 'list<string>';
const TEXTS = 'map<string, string>';
const ANY = 'map<string, dyn>';

const shape = (members: Readonly<Record<string, Shape>>): Members => new Map(Object.entries(members));

export const CERT: Members = shape({
  sha1: 'string',
  sha256: 'string',
  publicKeyPin: 'string',
  serialNumber: 'string',
  subject: TEXTS,
  issuer: TEXTS,
  subjectAltName: shape({ uri: STRINGS, dns: STRINGS, email: STRINGS, ip: STRINGS }),
  notAfter: 'google.protobuf.Timestamp',
});

export const JWT: Members = shape({ issuer: 'string', subject: 'string', audience: STRINGS, claims: ANY });

/** Variables that are known everywhere in a policy; params, steps and vars depend on the place. */
const COMMON: Members = shape({
  request: shape({
    method: 'string',
    path: 'string',
    query: 'map<string, list<string>>',
    headers: TEXTS,
    host: 'string',
    scheme: 'string',
    size: 'int',
    time: 'google.protobuf.Timestamp',
  }),
  source: shape({ ip: 'string' }),
  jwt: JWT,
  cert: CERT,
  subscription: shape({ name: 'string' }),
  caller: shape({ kind: 'string', id: 'string' }),
});

const RESPONSE: Members = shape({ status: 'int', headers: TEXTS });

/** What `steps.<name>` may have (E4); which step has what is told by shapeStep. */
export const STEP: Members = shape({
  ran: 'bool',
  status: 'int',
  body: ANY,
  alternative: 'string',
  jwt: JWT,
  cert: CERT,
});

/**
 * Types for the library. They are the same at every place: which parameters, variables and steps there are is for
 * inspect() to say, and making an environment of the library costs a hundred times what an expression does.
 */
const POLICY_TYPES: Members = new Map([...COMMON, ['params', TEXTS], ['vars', TEXTS], ['steps', 'map<string, Step>']]);
const REQUEST_LIBRARY = lazily(() => createLibrary(POLICY_TYPES, { Step: STEP }));
const RESPONSE_LIBRARY = lazily(() =>
  createLibrary(new Map([...POLICY_TYPES, ['response', RESPONSE]]), { Step: STEP }),
);

export interface Place {
  readonly params: ReadonlySet<string>;
  readonly steps: Members;
  readonly vars: ReadonlySet<string>;
  readonly response: boolean;
  /** See Environment. */
  readonly reasons: ReadonlyMap<string, string>;
}

const texts = (names: Iterable<string>): Members => new Map([...names].map(name => [name, 'string']));

/** The environment of an expression in a policy. */
export function createPolicyEnvironment({ params, steps, vars, response, reasons }: Place): Environment {
  const roots = new Map(COMMON);
  roots.set('params', texts(params)).set('vars', texts(vars)).set('steps', steps);
  if (response) roots.set('response', RESPONSE);
  return { roots, reasons, library: response ? RESPONSE_LIBRARY : REQUEST_LIBRARY };
}

/** The environment of a policy that applies to nothing yet: whatever it will apply to may have any parameter and step. */
export function createOpenEnvironment(response: boolean): Environment {
  const roots = new Map(COMMON);
  roots.set('params', TEXTS).set('vars', TEXTS).set('steps', 'map<string, Step>');
  if (response) roots.set('response', RESPONSE);
  return { roots, reasons: NO_REASONS, library: response ? RESPONSE_LIBRARY : REQUEST_LIBRARY };
}

const SERVICE: Members = shape({ cert: CERT, deviceId: 'string', certificateIdentity: 'string' });
/** Templates of a DeviceAuthService (P3). */
export const SERVICE_REQUEST = createEnvironment(SERVICE);
/** `allow.expression` of a DeviceAuthService. */
export const SERVICE_ANSWER = createEnvironment(new Map([...SERVICE, ['body', ANY], ['status', 'int']]));
/** Where nothing is known: texts that are literal. */
export const NOTHING = createEnvironment(new Map());

const STEP_MEMBERS: ReadonlyMap<string, readonly string[]> = new Map([
  ['deviceAuth', ['status', 'body']],
  ['anyOf', ['alternative', 'jwt', 'cert']],
  ['jwt', ['jwt']],
  ['clientCertificate', ['cert']],
]);

/** What `steps.<name>` has, by the step's type (E4). */
export function shapeStep(type: string): Members {
  const names = STEP_MEMBERS.get(type) ?? [];
  return new Map([...STEP].filter(([name]) => name === 'ran' || names.includes(name)));
}

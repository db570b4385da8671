/** The reference page on expressions and templates, from the tables by which they are compiled. Pure: Markdown out. */
import { code, escapeMarkdown, joinBlocks, renderTable } from '../api/markdown.ts';
import { MAX_SOURCE } from './cel.ts';
import {
  createOpenEnvironment,
  SERVICE_ANSWER,
  SERVICE_REQUEST,
  shapeStep,
  STEP,
  type Members,
  type Shape,
} from './cel-environment.ts';
import { listFunctions } from './function-reference.ts';
import { renderTemplates } from './template-reference.ts';

const NOTICE = '<!-- Written by `npm run generate` from src/policy; edit expression-reference.ts there. -->';

export function renderExpressions(): string {
  return joinBlocks([
    '# Expressions and templates',
    NOTICE,
    `Expressions are [CEL](https://cel.dev), the language of Kubernetes validation, at most ${MAX_SOURCE} characters. They are parsed and type-checked when the policy loads: an unknown variable, a step that runs later and a wrong type are problems that \`sallyport check\` and the log show. So is \`caller\` where no step before has authenticated, here or in a policy that this one sees: a warning, since another policy may. What an evaluation may cost is bounded, and so is what all evaluations of one request may cost together.`,
    ...renderVariables(),
    ...renderAbsent(),
    ...renderFunctions(),
    ...renderFailures(),
    ...renderTemplates(),
    ...renderUnits(),
  ]);
}

/** By path without what a policy names itself; a trailing `.` stands for what begins so. */
const MEANINGS: Readonly<Record<string, string>> = {
  'request.method': 'As received.',
  'request.path': 'The canonical path, which is what the app gets; without the query.',
  'request.query': 'Name to all its values, decoded. Parameters from which a token is read are left out.',
  'request.headers':
    'Lower-case name to value; several lines are joined with ", " (cookies with "; "). Headers and cookies from which credentials are read, and headers that policies set, are left out.',
  'request.host': 'Without port, lower case.',
  'request.scheme': '`http` or `https`.',
  'request.size': 'Bytes of the body by Content-Length, 0 without one, -1 when unknown.',
  'request.time': 'When the request is judged.',
  'source.ip': 'The client’s address, by the Api’s clientAddress.',
  'jwt.issuer': 'The token’s `iss`.',
  'jwt.subject': 'The token’s `sub`.',
  'jwt.audience': 'The token’s `aud`, as a list also when the token has one text.',
  'jwt.claims': 'Every claim by its name. Numbers without a fraction are ints.',
  'cert.sha1': 'SHA-1 of the certificate, upper-case hex.',
  'cert.sha256': 'SHA-256 of the certificate, upper-case hex.',
  'cert.publicKeyPin': 'SHA-256 of the public key (SPKI), Base64.',
  'cert.serialNumber': 'Upper-case hex without leading zeros.',
  'cert.subject': 'Attribute (`CN`, `O`, `OU` …) to value; one that occurs twice is left out.',
  'cert.issuer': 'The same of the issuer.',
  'cert.subjectAltName.uri': 'URIs of the subject alternative names.',
  'cert.subjectAltName.dns': 'DNS names.',
  'cert.subjectAltName.email': 'E-mail addresses.',
  'cert.subjectAltName.ip': 'IP addresses.',
  'cert.notAfter': 'When the certificate ends.',
  'subscription.name': 'The name of the Subscription whose key was sent.',
  'caller.kind': '`Jwt`, `ClientCertificate`, `Subscription`, `HmacSignature` or `Anonymous`.',
  'caller.id':
    'Subject of the token; of a certificate its CN, else its first URI, DNS name, e-mail or IP address, else its SHA-256; the name of the subscription; policy and step of the signature.',
  params: 'Name to value of the path parameters of the operation: `params.deviceId`. Decoded once.',
  vars: 'Name to text of the policy’s variables, and of what its setVariables steps have set by now; else those of the nearest broader policy.',
  'response.status': 'Status of the app’s answer.',
  'response.headers': 'Its headers, like request.headers.',
  deviceId: 'The step’s deviceId, rendered.',
  certificateIdentity: 'The step’s certificateIdentity, rendered; absent when the step has none.',
  body: 'The service’s answer, a JSON object.',
  status: 'Its status.',
  'steps.ran': 'Whether the step ran and passed.',
  'steps.status': 'Status of the service’s answer, a cached one included.',
  'steps.body': 'Its JSON object; always there, empty when nothing is known.',
  'steps.alternative':
    'Which sort of alternative passed: `jwt`, `clientCertificate`, `subscription`, `hmacSignature` or `anonymous`.',
  'steps.jwt': 'The members of `jwt`, of this very step.',
  'steps.cert': 'The members of `cert`, of this very step.',
};

function meaningOf(path: string): string {
  const meaning = Object.hasOwn(MEANINGS, path) ? MEANINGS[path] : undefined;
  if (meaning === undefined) throw new Error(`the variable ${path} is not described`);
  return meaning;
}

function listLeaves(members: Members, prefix = ''): readonly (readonly [path: string, type: string])[] {
  return [...members].flatMap(([name, shape]) => listShape(shape, prefix + name));
}

const listShape = (shape: Shape, path: string): readonly (readonly [string, string])[] =>
  typeof shape === 'string' ? [[path, shape]] : listLeaves(shape, `${path}.`);

const TYPE_NAMES: Readonly<Record<string, string>> = { 'google.protobuf.Timestamp': 'timestamp' };
const typeCell = (type: string): string => code(TYPE_NAMES[type] ?? type);

/** `steps` has a table of its own. */
function renderRoots(roots: Members): string {
  const rows = listLeaves(roots)
    .filter(([path]) => path !== 'steps')
    .map(([path, type]) => [code(path), typeCell(type), escapeMarkdown(meaningOf(path))]);
  return renderTable(['Variable', 'Type', 'What it is'], rows);
}

const STEPS = ['deviceAuth', 'anyOf', 'jwt', 'clientCertificate'];

function renderSteps(): string {
  const rows = [...STEP].map(([name, shape]) => {
    const owners = STEPS.filter(type => shapeStep(type).has(name));
    const of = name === 'ran' ? 'every step' : owners.map(code).join(', ');
    const type = typeof shape === 'string' ? typeCell(shape) : 'object';
    return [code(`steps.<name>.${name}`), type, of, escapeMarkdown(meaningOf(`steps.${name}`))];
  });
  return renderTable(['Variable', 'Type', 'Of', 'What it is'], rows);
}

const only = (members: Members, names: readonly string[]): Members =>
  new Map([...members].filter(([name]) => names.includes(name)));
const without = (members: Members, others: Members): Members =>
  new Map([...members].filter(([name]) => !others.has(name)));

function renderVariables(): readonly string[] {
  const request = createOpenEnvironment(false).roots;
  const response = createOpenEnvironment(true).roots;
  const service = SERVICE_REQUEST.roots;
  return [
    '## Variables',
    '### In the request part of a policy',
    '`when` of every step, `condition` of `choose`, the rules of `authorize`, and every template: values of `setHeaders`, `setVariables` and `respond`, `key` of `rateLimit`, `quota` and `concurrency`, `deviceAuth.deviceId` and `certificateIdentity`.',
    renderRoots(request),
    'Earlier steps of the same policy, and steps of broader policies that run before it, by their names:',
    renderSteps(),
    '`jwt`, `cert` and `caller` are those of the last step that passed, of the same policy, the same scope and broader ones; what is not verified is never visible. `steps.<name>` and `vars.<name>` mean this policy’s, else the nearest broader policy’s, never a narrower one’s.',
    '### In the response part of a policy',
    'The same, every step of the request part, and the app’s answer:',
    renderRoots(without(response, request)),
    '### In the request of a DeviceAuthService',
    'Templates of `url` (its path), `request.query`, `request.headers` and `request.body`. Nothing else of the request is there.',
    renderRoots(only(service, ['deviceId', 'certificateIdentity'])),
    `And \`cert\` as above: ${[...only(service, ['cert'])]
      .flatMap(([name, shape]) => listShape(shape, name))
      .map(([path]) => code(path))
      .join(', ')}.`,
    '### In `allow.expression` of a DeviceAuthService',
    'The same, and the answer:',
    renderRoots(without(SERVICE_ANSWER.roots, service)),
    '### In `errors.headers`',
    'Nothing: where a request is refused, nothing of it is verified. The values are literal.',
  ];
}

/** Of the request part; tests compile them. */
export const PRESENCE_EXAMPLES: readonly string[] = [
  'has(cert.sha1) && has(cert.subject.CN) && cert.subject.CN == params.deviceId',
  'has(jwt.claims.tier) && jwt.claims.tier == "gold"',
  '"x-env" in request.headers && request.headers["x-env"] == "prod"',
  '"tier" in request.query && "gold" in request.query.tier',
];

const renderAbsent = (): readonly string[] => [
  '## What is not there',
  'A variable is always there, and so are `jwt.claims`, `cert.subject`, `cert.issuer`, `cert.subjectAltName`, `params`, `vars`, `steps.<name>` and `steps.<name>.body`, empty when nothing is known. Their members are not: without a certificate `cert.sha1` is absent, and reading it fails. Test first:',
  `\`\`\`cel\n${PRESENCE_EXAMPLES.join('\n')}\n\`\`\``,
  '`has(a.b)` takes a member written with a dot; `"name" in map` does for names that are no identifiers. `&&` and `||` need only the side that decides: `false && x` is false and `true || x` is true, even where `x` fails.',
];

const renderFunctions = (): readonly string[] => [
  '## Functions',
  'Operators are CEL’s: `==`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `&&`, `||`, `!`, `+`, `-`, `*`, `/`, `%`, `? :`. There are no bytes, no unsigned ints and no optional access (`.?`).',
  renderTable(
    ['Function', 'What it answers', 'Example (true)'],
    listFunctions().map(({ call, meaning, example }) => [
      splitCalls(call),
      escapeMarkdown(meaning),
      example === undefined ? '' : code(example),
    ]),
  ),
];

/** `a(x), a(x, y)` as two pieces of code. */
const splitCalls = (call: string): string =>
  call
    .split(/(?<=\)), /)
    .map(code)
    .join(', ');

const FAILURES: readonly (readonly string[])[] = [
  ['A rule of `authorize.deny`', 'The rule counts as true: 403 `AuthorizationDenied`.'],
  ['A rule of `authorize.allow`', 'The rule counts as false.'],
  [
    '`when`, `condition` of `choose`, values of `setHeaders`, `setVariables` and `respond`, `key` of `rateLimit`, `quota` and `concurrency`',
    '403 `ExpressionFailed`; the log names the field in `detail`.',
  ],
  ['`deviceAuth.deviceId`, `deviceAuth.certificateIdentity`', '403 `DeviceMismatch`.'],
  ['`allow.expression` of a `DeviceAuthService`', '503 `DeviceAuthUnavailable`.'],
  ['`countWhen` of `rateLimit` and `quota`', 'The call counts.'],
  [
    'A template of a `DeviceAuthService`',
    'Denies with 403 `ExpressionFailed`; the service is not asked, and its breaker does not count it.',
  ],
  ['Anything in the response part', '502 `AppProtocolError`.'],
];

const renderFailures = (): readonly string[] => [
  '## When an expression fails',
  'An expression fails when it reads what is not there, meets a type that it does not expect, or costs too much. It never lets a request pass:',
  renderTable(['Where', 'What happens'], FAILURES),
];

const renderUnits = (): readonly string[] => [
  '## Durations and quantities',
  'Fields of type duration are written as Kubernetes writes them: whole numbers with `h`, `m`, `s` or `ms`, at most four of them, of at most five digits each: `10s`, `1h30m`, `500ms`. A bare number is refused, and so are days. `duration(…)` in an expression takes fractions too: `duration("1.5s")`.',
  'Quantities of bytes are a number, or text with a binary (`Ki`, `Mi`, `Gi`, `Ti`: powers of 1024) or decimal suffix (`k`, `M`, `G`, `T`: powers of 1000): `64Ki`, `1Mi`, `1.5Gi`, `1048576`. They come out as whole bytes.',
];

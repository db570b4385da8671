import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CONDITIONS, type ConditionType } from '../api/conditions.ts';
import type { KnownObject } from './objects.ts';
import type { PodStates } from './pod-states.ts';
import type { PodFacts } from './pods.ts';
import { describeNamespace, examineNamespace, type NamespaceInput } from './namespace-status.ts';
import { NO_TESTS } from './test-judgement.ts';
import { makeData, makePod, makeState, readObjects, say } from './testing/scene.ts';

const API = `
kind: Api
metadata: {name: fleet}
spec: {podSelector: {matchLabels: {app: fleet}}, port: 8080, operations: [{name: read, path: /read}]}
---
`;
const POLICY = `
kind: AuthPolicy
metadata: {name: p, generation: 7}
spec: {targetRefs: [{kind: Api, name: fleet}], request: [{name: s, authorize: {deny: [{expression: "false"}]}}]}
---
`;
const policy = (spec: string, name = 'p'): string => `
kind: AuthPolicy
metadata: {name: ${name}}
spec: ${spec}
---
`;

interface Options extends Partial<Omit<NamespaceInput, 'objects' | 'pods'>> {
  readonly pods?: readonly PodFacts[];
  readonly states?: PodStates;
  readonly heldBy?: ReadonlyMap<string, string>;
}

function evaluate(objects: readonly KnownObject[], options: Options = {}) {
  const { pods = [], states = new Map(), heldBy = new Map(), ...more } = options;
  const facts = examineNamespace({
    namespace: 'shop',
    namespaceLabels: {},
    objects,
    pods,
    data: makeData(),
    requireLabel: false,
    checkData: () => [],
    ...more,
  });
  const statuses = describeNamespace(facts, {
    ...{ states, heldBy, tests: NO_TESTS, describeGate: () => undefined },
    mesh: { trustDomain: 'cluster.local' },
  });
  for (const { findings } of statuses.values()) {
    for (const { type, reason } of findings) {
      assert.ok((CONDITIONS[type].reasons as readonly string[]).includes(reason), `${type} has no reason ${reason}`);
    }
  }
  const show = (id: string, type: ConditionType): string => {
    const found = statuses.get(id)?.findings.find(finding => finding.type === type);
    return found === undefined ? 'absent' : `${found.holds ? 'True' : 'False'} ${found.reason}: ${found.message}`;
  };
  return { statuses, show };
}

describe('Accepted, ResolvedRefs and Programmed', () => {
  const cases: Readonly<Record<string, readonly [text: string, id: string, Partial<Record<ConditionType, RegExp>>]>> = {
    'a valid policy is accepted, resolved and programmed': [
      API + POLICY,
      'AuthPolicy shop/p',
      {
        Accepted: /^True Accepted: valid$/,
        ResolvedRefs: /^True ResolvedRefs: everything that it names exists$/,
        Programmed: /^True Programmed: applies to Api shop\/fleet$/,
      },
    ],
    'an object that the parser refuses is Invalid, with the field and the fix, and without Programmed': [
      API + policy('{request: [{name: s, authorise: {deny: []}}]}'),
      'AuthPolicy shop/p',
      {
        Accepted: /^False Invalid: spec\.request\[0\].*authorise.*; did you mean "authorize"\?/,
        Programmed: /^absent$/,
      },
    ],
    'an expression that does not compile is Invalid': [
      API + policy('{request: [{name: s, authorize: {deny: [{expression: "nonsense.x == 1"}]}}]}'),
      'AuthPolicy shop/p',
      { Accepted: /^False Invalid: spec\.request\[0\]\.authorize\.deny\[0\]\.expression: / },
    ],
    'a parameter that no target has is Invalid (E10)': [
      API + policy('{request: [{name: s, authorize: {deny: [{expression: "params.id == \'1\'"}]}}]}'),
      'AuthPolicy shop/p',
      { Accepted: /^False Invalid: / },
    ],
    'a target that does not exist is TargetNotFound, and the policy is programmed in part': [
      API + policy('{targetRefs: [{kind: Api, name: fleet}, {kind: Api, name: fleett}]}'),
      'AuthPolicy shop/p',
      {
        Accepted: /^False TargetNotFound: spec\.targetRefs\[1\]\.name: names the Api "fleett".*write "fleet"$/,
        Programmed: /^False PartiallyProgrammed: /,
      },
    ],
    'an operation that does not exist is TargetNotFound, and says that the policy is widened (S6)': [
      API + policy('{targetRefs: [{kind: Api, name: fleet, sectionName: write}]}'),
      'AuthPolicy shop/p',
      { Accepted: /^False TargetNotFound: spec\.targetRefs\[0\]\.sectionName: .*applies to the whole Api/ },
    ],
    'selectors that select nothing are no fault, but nothing is programmed': [
      API + policy('{targetSelectors: [{kind: Api, matchLabels: {product: gold}}]}'),
      'AuthPolicy shop/p',
      { Accepted: /^True Accepted: valid$/, Programmed: /^False PartiallyProgrammed: .*selects no Api/ },
    ],
    'an issuer that does not exist is RefNotFound, and the last good generation stays': [
      API + policy('{request: [{name: s, jwt: {issuers: [corp], audiences: [a]}}]}'),
      'AuthPolicy shop/p',
      {
        Accepted: /^True Accepted/,
        ResolvedRefs: /^False RefNotFound: spec\.request\[0\]\.jwt\.issuers\[0\]: names the TokenIssuer "corp"/,
        Programmed: /^False PartiallyProgrammed: the last good generation stays in force, without one 503: /,
      },
    ],
    'a Secret that does not exist is RefNotFound at the object that names it': [
      'kind: TokenIssuer\nmetadata: {name: corp}\nspec: {issuer: i, keys: [{secretKeyRef: {name: k, key: pem}}]}',
      'TokenIssuer shop/corp',
      {
        Accepted: /^True Accepted/,
        ResolvedRefs: /^False RefNotFound: spec\.keys\[0\]\.secretKeyRef: names the key "pem" of the Secret "k"/,
      },
    ],
    'two policies of one scope that set the same field conflict, and the younger loses that field': [
      `${API}
kind: AuthPolicy
metadata: {name: old, creationTimestamp: "2026-01-01T00:00:00Z"}
spec: {errors: {format: Text}}
---
kind: AuthPolicy
metadata: {name: young, creationTimestamp: "2026-02-01T00:00:00Z"}
spec: {errors: {format: Empty}}
`,
      'AuthPolicy shop/young',
      {
        Accepted: /^False Conflicted: spec\.errors\.format: conflicts with AuthPolicy shop\/old/,
        Programmed: /^False PartiallyProgrammed: without what is in conflict/,
      },
    ],
    'Apis that share pods and port and differ conflict (M5)': [
      `${API}
kind: Api
metadata: {name: young, creationTimestamp: "2026-02-01T00:00:00Z"}
spec: {podSelector: {matchLabels: {app: fleet}}, port: 8080, protocol: HTTP1, basePath: /other}
`,
      'Api shop/young',
      { Accepted: /^False Conflicted: spec\.protocol: differs from Api shop\/fleet/ },
    ],
    'Apis of other pods on the same port do not': [
      `${API}
kind: Api
metadata: {name: young, creationTimestamp: "2026-02-01T00:00:00Z"}
spec: {podSelector: {matchLabels: {app: other}}, port: 8080, protocol: HTTP1}
`,
      'Api shop/young',
      { Accepted: /^True Accepted/ },
    ],
    'a header that a sealed policy owns is Overridden (S4)': [
      `${API}${policy('{request: [{name: s, setHeaders: [{name: x-team, value: web}]}]}', 'broad')}
${policy('{targetRefs: [{kind: Api, name: fleet}], request: [{name: s, setHeaders: [{name: X-Team, value: me}]}]}')}`,
      'AuthPolicy shop/p',
      { Accepted: /^True/, Programmed: /^False Overridden: spec\.request\[0\]: writes the header "X-Team"/ },
    ],
    'what is allowed and weak is noted': [
      `${API}
kind: ClientTrust
metadata: {name: devices}
spec: {anchors: [{configMapKeyRef: {name: ca, key: ca.crt}}], validity: {notAfter: false}}
---
${policy('{request: [{name: who, clientCertificate: {trust: devices}}]}')}`,
      'ClientTrust shop/devices',
      { Accepted: /^True Accepted: valid; note: expired certificates pass; revocation is not checked$/ },
    ],
    'a step that lets everybody pass is noted at its policy': [
      API + policy('{request: [{name: who, anyOf: [{anonymous: {}}]}]}'),
      'AuthPolicy shop/p',
      { Accepted: /^True Accepted: valid; note: step who: requests without credentials pass$/ },
    ],
    'an Api names its policies in the order in which their steps run (S2)': [
      API + POLICY + policy('{request: []}', 'a-namespace'),
      'Api shop/fleet',
      { Programmed: /^True Programmed: policies in order: AuthPolicy shop\/a-namespace, AuthPolicy shop\/p$/ },
    ],
  };
  for (const [name, [text, id, wanted]] of Object.entries(cases)) {
    test(name, () => {
      const { show } = evaluate(readObjects(text), { pods: [makePod('one')] });
      for (const [type, pattern] of Object.entries(wanted)) assert.match(show(id, type as ConditionType), pattern);
    });
  }

  test('Apis are judged alike before they have pods', () => {
    const { show } = evaluate(
      readObjects(`${API}
kind: Api
metadata: {name: young, creationTimestamp: "2026-02-01T00:00:00Z"}
spec: {podSelector: {matchLabels: {app: fleet}}, port: 8080, protocol: HTTP1, basePath: /other}
`),
    );
    assert.match(show('Api shop/young', 'Accepted'), /^False Conflicted/);
  });

  test('a named port that the pods lack is told at the Api', () => {
    const text = 'kind: Api\nmetadata: {name: a}\nspec: {podSelector: {matchLabels: {app: fleet}}, port: web}\n';
    const bare = evaluate(readObjects(text), { pods: [makePod('one')] });
    assert.match(bare.show('Api shop/a', 'Accepted'), /^False Invalid: spec\.port: names the container port "web"/);
    const fitting = evaluate(readObjects(text), { pods: [makePod('one', { ports: { web: 80 } })] });
    assert.match(fitting.show('Api shop/a', 'Accepted'), /^True/);
  });

  test('a Secret without the label is RefNotPermitted where the installation asks for it', () => {
    const text =
      'kind: TokenIssuer\nmetadata: {name: corp}\nspec: {issuer: i, keys: [{secretKeyRef: {name: k, key: pem}}]}';
    const data = makeData({ 'Secret shop/k': { pem: 'x' } });
    assert.match(evaluate(readObjects(text), { data }).show('TokenIssuer shop/corp', 'ResolvedRefs'), /^True/);
    assert.match(
      evaluate(readObjects(text), { data, requireLabel: true }).show('TokenIssuer shop/corp', 'ResolvedRefs'),
      /^False RefNotPermitted: spec\.keys\[0\]\.secretKeyRef: the Secret shop\/k is not labelled sallyport\.dev\/use/,
    );
    const released = makeData({ 'Secret shop/k-released': { pem: 'x' } });
    assert.match(
      evaluate(readObjects(text.replace('name: k,', 'name: k-released,')), { data: released, requireLabel: true }).show(
        'TokenIssuer shop/corp',
        'ResolvedRefs',
      ),
      /^True/,
    );
  });

  test('what a Secret holds and cannot be used is as good as missing', () => {
    const object = 'ClientTrust shop/devices';
    const checkData = () => [
      {
        severity: 'error',
        object,
        field: 'spec.anchors[0]',
        problem: 'holds no certificate',
        fix: 'put one there',
      } as const,
    ];
    const text =
      'kind: ClientTrust\nmetadata: {name: devices}\nspec: {anchors: [{configMapKeyRef: {name: ca, key: c}}]}';
    const data = makeData({ 'ConfigMap shop/ca': { c: 'x' } });
    assert.match(
      evaluate(readObjects(text), { data, checkData }).show(object, 'ResolvedRefs'),
      /^False RefNotFound: spec\.anchors\[0\]: holds no certificate; put one there$/,
    );
  });

  test('a generation that a policy test holds back is not programmed', () => {
    const heldBy = new Map([['AuthPolicy shop/p', 'PolicyTest shop/t']]);
    const { show } = evaluate(readObjects(API + POLICY), { heldBy });
    assert.match(
      show('AuthPolicy shop/p', 'Programmed'),
      /^False PartiallyProgrammed: PolicyTest shop\/t holds it back/,
    );
  });
});

describe('Enforced', () => {
  const objects = readObjects(API + POLICY);
  const [api, known] = objects;
  assert.ok(api !== undefined && known !== undefined);
  const pods = ['one', 'two', 'three'].map(name => makePod(name));
  const [one, two, three] = pods;
  assert.ok(one !== undefined && two !== undefined && three !== undefined);
  const enforced = (states: PodStates, of: readonly PodFacts[] = pods): string =>
    evaluate(objects, { pods: of, states }).show('AuthPolicy shop/p', 'Enforced');

  test('AllPods: every pod enforces this generation', () => {
    const states = new Map(pods.map(pod => makeState(pod, [say(known)])));
    assert.equal(enforced(states), 'True AllPods: generation 7 on 3/3 pods');
  });
  test('SomePods, with what the others do', () => {
    const states = new Map([makeState(one, [say(known)]), makeState(two, [say(known, 'Kept')])]);
    assert.equal(
      enforced(states),
      'False SomePods: generation 7 on 1/3 pods; 1 keeps the last good generation; 1 has not answered yet',
    );
  });
  test('NoPods: none enforces it, or none is selected', () => {
    assert.equal(enforced(new Map()), 'False NoPods: generation 7 on 0/3 pods; 3 have not answered yet');
    assert.equal(enforced(new Map(), []), 'False NoPods: generation 7 on 0/0 pods: none is selected');
  });
  test('SidecarTooOld wins over SomePods', () => {
    const states = new Map([
      makeState(one, [say(known)]),
      makeState(two, [say(known, 'Unsupported')]),
      makeState(three, [say(known, 'Unsupported')]),
    ]);
    assert.equal(
      enforced(states),
      'False SidecarTooOld: generation 7 on 1/3 pods; 2 have a sidecar that is too old for it',
    );
  });
  test('an acknowledgement of an earlier generation, or of an object that was deleted, does not count', () => {
    const states = new Map([
      makeState(one, [say(known, 'InForce', 6)]),
      makeState(two, [{ ...say(known), uid: 'an earlier one of that name' }]),
      makeState(three, [say(known)]),
    ]);
    assert.equal(enforced(states), 'False SomePods: generation 7 on 1/3 pods; 2 have not answered yet');
  });
  test('pods that no sidecar protects count in the denominator, whatever was acknowledged for them', () => {
    const bare = makePod('bare', { sidecar: { state: 'None' } });
    const altered = makePod('altered', { sidecar: { state: 'Altered', problem: 'another image' } });
    const states = new Map([one, altered].map(pod => makeState(pod, [say(known)])));
    assert.equal(
      enforced(states, [one, bare, altered]),
      'False SomePods: generation 7 on 1/3 pods; 2 have no sidecar of ours',
    );
  });
  test('pods of other Apis do not count', () => {
    const other = makePod('other', { labels: { app: 'other' } });
    assert.equal(
      enforced(new Map([makeState(one, [say(known)])]), [one, other]),
      'True AllPods: generation 7 on 1/1 pods',
    );
  });
  test('an Api counts its pods in fields', () => {
    const states = new Map([makeState(one, [say(api)]), makeState(two, [say(api, 'Refused')])]);
    assert.deepEqual(evaluate(objects, { pods, states }).statuses.get('Api shop/fleet')?.fields, {
      pods: { matched: 3, enforcing: 1 },
      pipeline: 'Api p: s (nobody is let in: NoPolicyMatches)',
    });
  });
});

describe('what sidecars report', () => {
  const ISSUER = `${API}
kind: TokenIssuer
metadata: {name: corp}
spec: {discovery: {url: "https://i.example/c"}}
---
${policy('{request: [{name: s, jwt: {issuers: [corp], audiences: [a]}}]}')}`;
  const issuer = (keys: number, stale = false, problem?: string) => ({
    issuers: [{ key: 'shop/corp', keys, stale, fetchedAt: 0, ...(problem === undefined ? {} : { problem }) }],
  });
  const pods = [makePod('one'), makePod('two')];
  const judge = (reports: readonly ReturnType<typeof issuer>[]) => {
    const states = new Map(
      pods.flatMap((pod, i) => (reports[i] === undefined ? [] : [makeState(pod, [], reports[i])])),
    );
    return evaluate(readObjects(ISSUER), { pods, states });
  };

  test('keys that every pod has are available', () => {
    const { show, statuses } = judge([issuer(2), issuer(3)]);
    assert.equal(show('TokenIssuer shop/corp', 'KeysAvailable'), 'True Fetched: 3 keys on 2 pods');
    assert.deepEqual(statuses.get('TokenIssuer shop/corp')?.fields, {
      keys: { count: 3, stale: false, lastError: '' },
    });
  });
  test('keys that one pod lacks are not', () => {
    const { show } = judge([issuer(2), issuer(0, true, 'the server cannot be reached')]);
    assert.equal(
      show('TokenIssuer shop/corp', 'KeysAvailable'),
      'False Unavailable: no keys on 1/2 pods: the server cannot be reached',
    );
  });
  test('keys past their age are Stale', () => {
    const { show } = judge([issuer(2, true)]);
    assert.equal(
      show('TokenIssuer shop/corp', 'KeysAvailable'),
      'False Stale: keys are older than cache.maxAge on 1/1 pods',
    );
  });
  test('before any pod reports, nothing is said of keys', () => {
    assert.equal(judge([]).show('TokenIssuer shop/corp', 'KeysAvailable'), 'absent');
  });

  test('an Audit policy says what it would have denied, an enforced one does not', () => {
    const objects = readObjects(API + policy('{mode: Audit}') + policy('{mode: Enforce}', 'q'));
    const wouldDeny = [{ policy: 'AuthPolicy shop/p', count: 6 }];
    const states = new Map(pods.map(pod => makeState(pod, [], { wouldDeny })));
    const { show } = evaluate(objects, { pods, states });
    assert.equal(
      show('AuthPolicy shop/p', 'Audit'),
      'True Audit: denies nothing; would have denied 12 requests since its pods started',
    );
    assert.equal(show('AuthPolicy shop/q', 'Audit'), 'absent');
  });

  test('an app that listens beyond loopback is exposed, on the port of this Api only', () => {
    const states = new Map([makeState(pods[0] ?? makePod('x'), [], { appExposed: [8080] })]);
    const objects = readObjects(API);
    assert.match(
      evaluate(objects, { pods, states }).show('Api shop/fleet', 'AppExposed'),
      /^True NotLoopback: on 1\/2 pods/,
    );
    const others = new Map([makeState(pods[0] ?? makePod('x'), [], { appExposed: [9090] })]);
    assert.equal(evaluate(objects, { pods, states: others }).show('Api shop/fleet', 'AppExposed'), 'absent');
  });

  test('a managed credential names the identities under which its pods are known', () => {
    const objects = readObjects(`${API}
kind: BackendCredential
metadata: {name: mesh}
spec: {meshCertificate: {managed: {}}}
---
${policy('{backend: {credential: mesh}}')}`);
    const pods = [makePod('a'), makePod('b', { serviceAccount: 'batch' })];
    const spiffeId = 'spiffe://cluster.local/ns/shop/sa/batch spiffe://cluster.local/ns/shop/sa/fleet';
    const show = (states: PodStates): unknown =>
      evaluate(objects, { pods, states }).statuses.get('BackendCredential shop/mesh')?.fields;
    assert.deepEqual(show(new Map()), { certificate: { spiffeId } });
    // The first of their certificates that ends, to a 72nd of 72 h: what is written must not move with each renewal.
    const states = pods.map((pod, index) => {
      const notAfter = Date.parse(`2027-01-0${index + 3}T10:42:17Z`);
      return makeState(pod, [], { certificates: [{ credential: 'shop/mesh', notAfter, sha256: 'AB' }] });
    });
    assert.deepEqual(show(new Map(states)), { certificate: { spiffeId, notAfter: '2027-01-03T10:00:00Z' } });
  });
});

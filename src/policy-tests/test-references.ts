/** Names in a test that lead nowhere: the case would fail for a reason that nobody sees. Pure. */
import { readAddress } from '../api/address-range.ts';
import type { ObjectKey } from '../api/object.ts';
import type { SallyportObject } from '../api/kinds/index.ts';
import type { Violation } from '../api/violation.ts';
import { nearestName } from '../api/words.ts';
import { resolveName } from './given-evidence.ts';
import type { PolicyTest } from './run-policy-test.ts';

interface Named {
  readonly kind: 'TokenIssuer' | 'ClientTrust' | 'Subscription';
  readonly name: string;
  readonly field: string;
}

export function findTestProblems(test: PolicyTest, objects: readonly SallyportObject[]): readonly Violation[] {
  return test.spec.cases.flatMap((testCase, at) => [
    ...checkAddress(test, testCase.given.sourceIp, `spec.cases[${at}].given.sourceIp`),
    ...listNames(testCase.given, `spec.cases[${at}].given`).flatMap(named => describeMissing(named, test, objects)),
  ]);
}

function listNames(
  { token, certificate, subscription }: PolicyTest['spec']['cases'][number]['given'],
  at: string,
): Named[] {
  return [
    ...(token === undefined ? [] : [{ kind: 'TokenIssuer', name: token.issuer, field: `${at}.token.issuer` } as const]),
    ...(certificate?.trust === undefined
      ? []
      : [{ kind: 'ClientTrust', name: certificate.trust, field: `${at}.certificate.trust` } as const]),
    ...(subscription === undefined
      ? []
      : [{ kind: 'Subscription', name: subscription, field: `${at}.subscription` } as const]),
  ];
}

function checkAddress(test: PolicyTest, address: string, field: string): Violation[] {
  if (readAddress(address) !== undefined) return [];
  const position = test.locate?.(field);
  return [
    {
      severity: 'error',
      object: `PolicyTest ${test.key}`,
      field,
      problem: `${JSON.stringify(address)} is not an IP address`,
      fix: 'write one such as 203.0.113.7 or 2001:db8::7',
      ...(position === undefined ? {} : { position }),
    },
  ];
}

function describeMissing(
  { kind, name, field }: Named,
  test: PolicyTest,
  objects: readonly SallyportObject[],
): Violation[] {
  const { namespace } = test.meta;
  const keys = new Set<ObjectKey>(objects.filter(object => (object.kind as string) === kind).map(({ key }) => key));
  if (keys.has(resolveName(namespace, name))) return [];
  const own = [...keys].flatMap(key => (key.startsWith(`${namespace}/`) ? [key.slice(namespace.length + 1)] : []));
  const near = nearestName(name, own);
  const position = test.locate?.(field);
  return [
    {
      severity: 'error',
      object: `PolicyTest ${test.key}`,
      field,
      problem: `names the ${kind} "${name}", which does not exist`,
      fix: near === undefined ? `name one of the namespace ${namespace}` : `did you mean "${near}"?`,
      concern: 'Reference',
      ...(position === undefined ? {} : { position }),
    },
  ];
}

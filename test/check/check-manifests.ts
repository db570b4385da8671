/** `check` in memory: manifests in, printed lines out. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { collectProblems } from '../../src/cli/check-problems.ts';
import { formatProblem } from '../../src/cli/check-report.ts';
import { collectManifests } from '../../src/sources/read-manifests.ts';

/** What is looked at, and the lines that `check` prints for it. */
export type Cases = Readonly<Record<string, readonly [manifest: string, ...lines: string[]]>>;

/** A text over several lines, without the line breaks at its ends. */
export const manifest = ([text = '']: TemplateStringsArray): string => `${text.replace(/^\n/, '').trimEnd()}\n`;

/** The objects around a case: right, and in a file of their own. */
export const BASE = manifest`
apiVersion: sallyport.dev/v1alpha1
kind: TokenIssuer
metadata: {name: corp, namespace: shop}
spec: {discovery: {url: "https://login.example.com/.well-known/openid-configuration"}}
---
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: mesh, namespace: shop}
spec: {meshCertificate: {managed: {}}}
---
apiVersion: sallyport.dev/v1alpha1
kind: DeviceAuthService
metadata: {name: devices, namespace: shop}
spec: {url: "http://device-auth.shop.svc/check"}
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: open, namespace: shop}
spec: {sealed: false, request: [{name: open, anyOf: [{anonymous: {}}]}]}
---
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: fleet, namespace: shop, labels: {product: gold}}
spec:
  podSelector: {matchLabels: {app: fleet}}
  port: 8080
  operations:
  - {name: telemetry, methods: [POST], path: "/devices/{deviceId}/telemetry"}
  - {name: device, methods: [GET], path: "/devices/{deviceId}"}
`;

export const NOW = Date.UTC(2026, 5, 1);

/** Lines of `check` for files by name. */
export function checkFiles(files: Readonly<Record<string, string>>): readonly string[] {
  const texts = Object.entries(files).map(([name, text]) => ({ name, text }));
  return collectProblems(collectManifests(texts), { now: NOW }).map(formatProblem);
}

/** One test for each case; `file.yaml` holds the case, `base.yaml` and `more.yaml` what it refers to. */
export function testCases(cases: Cases, base = BASE, more = ''): void {
  for (const [name, [text, ...lines]] of Object.entries(cases)) {
    void it(name, () =>
      assert.deepEqual(checkFiles({ 'base.yaml': base, 'file.yaml': text, 'more.yaml': more }), lines),
    );
  }
}

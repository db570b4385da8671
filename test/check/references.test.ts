/** What is wrong between objects: names, targets, conflicts, inheritance, expressions. */
import { describe } from 'node:test';
import { manifest, testCases } from './check-manifests.ts';

describe('check finds between objects', () =>
  testCases({
    'an issuer that does not exist': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: caller, jwt: {issuers: [crop], audiences: [x]}}
`,
      'file.yaml:6:spec.request[0].jwt.issuers[0]: names the TokenIssuer "crop", which does not exist, write "corp"',
    ],
    'a trust that does not exist': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - name: caller
    anyOf:
    - anonymous: {}
    - clientCertificate: {trust: partners}
`,
      'file.yaml:9:spec.request[0].anyOf[1].clientCertificate.trust: names the ClientTrust "partners", which does not exist, create it, or name one that exists',
    ],
    'a device-auth service that does not exist': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  targetRefs: [{kind: Api, name: fleet}]
  request:
  - {name: device, deviceAuth: {service: device, deviceId: "\${params.deviceId}"}}
`,
      'file.yaml:7:spec.request[0].deviceAuth.service: names the DeviceAuthService "device", which does not exist, write "devices"',
    ],
    'a credential that does not exist': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {backend: {credential: queue-sas}}
`,
      'file.yaml:4:spec.backend.credential: names the BackendCredential "queue-sas", which does not exist, create it, or name one that exists',
    ],
    'what was refused, but not what names it': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: TokenIssuer
metadata: {name: refused, namespace: shop}
spec: {discovery: {url: login.example.com}}
---
apiVersion: v1
kind: Secret
metadata: {name: refused, namespace: shop}
data: {k: "*"}
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  variables: {a: {secretKeyRef: {name: refused, key: k}}}
  request:
  - {name: caller, jwt: {issuers: [refused], audiences: [x]}}
`,
      'file.yaml:4:spec.discovery.url: "login.example.com" is not allowed here, write an http or https URL',
      'file.yaml:9:data.k: is not Base64, encode it, or move it to stringData as it is',
    ],
    'an issuer that landed in the namespace default': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: TokenIssuer
metadata: {name: own}
spec: {discovery: {url: "https://login.example.com/x"}}
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {request: [{name: caller, jwt: {issuers: [own], audiences: [x]}}]}
`,
      'file.yaml:9:spec.request[0].jwt.issuers[0]: names the TokenIssuer "own", which does not exist, there is one in namespace default; add namespace: shop to it',
    ],
    'a policy that landed in the namespace default': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a}
spec:
  targetRefs: [{kind: Api, name: fleet}]
  request: [{name: caller, jwt: {issuers: [corp], audiences: [x]}}]
---
apiVersion: v1
kind: Namespace
metadata: {name: default}
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: b, namespace: web}
spec: {request: [{name: caller, jwt: {issuers: [corp], audiences: [x]}}]}
`,
      'file.yaml:5:spec.targetRefs[0].name: names the Api "fleet", which does not exist: this target has no effect, there is one in namespace shop; add namespace: shop to this object',
      'file.yaml:6:spec.request[0].jwt.issuers[0]: names the TokenIssuer "corp", which does not exist, there is one in namespace shop; add namespace: shop to this object',
      'file.yaml:15:spec.request[0].jwt.issuers[0]: names the TokenIssuer "corp", which does not exist, there is one in namespace shop; declare one in web too, since references stay within a namespace',
    ],
    'a service that is itself invalid': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: DeviceAuthService
metadata: {name: bad, namespace: shop}
spec: {url: "http://d.shop.svc/\${device}"}
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: device, deviceAuth: {service: bad, deviceId: "x"}}
`,
      'file.yaml:4:spec.url: in ${…} uses the variable "device", which does not exist here, write deviceId',
      'file.yaml:11:spec.request[0].deviceAuth.service: names the DeviceAuthService "bad", which is invalid, see its own problem',
    ],
    'a Secret and a ConfigMap that are misspelt, and a key': [
      manifest`
apiVersion: v1
kind: Secret
metadata: {name: partner, namespace: shop}
stringData: {key: x}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: tiers}
data: {default: gold}
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  variables:
    a: {secretKeyRef: {name: partners, key: key}}
    b: {configMapKeyRef: {name: tiers, key: default}}
    c: {secretKeyRef: {name: partner, key: kee}}
    d: {secretKeyRef: {name: partner, key: other}}
`,
      'file.yaml:16:spec.variables.a.secretKeyRef: warning: names the key "key" of the Secret "partners", which does not exist, did you mean "partner"? Otherwise create it; until then what needs it is answered 503',
      'file.yaml:17:spec.variables.b.configMapKeyRef: warning: names the key "default" of the ConfigMap "tiers", which does not exist, there is one in namespace default; add namespace: shop to it; until then what needs it is answered 503',
      'file.yaml:18:spec.variables.c.secretKeyRef: warning: names the key "kee" of the Secret "partner", which does not exist, did you mean "key"? Otherwise create it; until then what needs it is answered 503',
      'file.yaml:19:spec.variables.d.secretKeyRef: warning: names the key "other" of the Secret "partner", which does not exist, add the key; until then what needs it is answered 503',
    ],
    'an Api and an operation with names that are near no other: those that exist are named': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  targetRefs:
  - {kind: Api, name: gateway}
  - {kind: Api, name: fleet, sectionName: orders}
  - {kind: Api, name: plain, sectionName: orders}
  - {kind: Api, name: large, sectionName: orders}
  request: [{name: a, removeHeaders: [x-a]}]
---
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: plain, namespace: shop}
spec: {podSelector: {matchLabels: {app: plain}}, port: 8080}
---
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: large, namespace: shop}
spec:
  podSelector: {matchLabels: {app: large}}
  port: 8080
  operations:
  - {name: a1, path: /a1}
  - {name: a2, path: /a2}
  - {name: a3, path: /a3}
  - {name: a4, path: /a4}
  - {name: a5, path: /a5}
  - {name: a6, path: /a6}
`,
      'file.yaml:6:spec.targetRefs[0].name: names the Api "gateway", which does not exist: this target has no effect, name an Api of this namespace: fleet, large, plain',
      'file.yaml:7:spec.targetRefs[1].sectionName: names the operation "orders", which the Api fleet does not have: until that is mended the policy applies to the whole Api, and its steps do not count as authentication, name one of its operations: telemetry, device',
      'file.yaml:8:spec.targetRefs[2].sectionName: names the operation "orders", which the Api plain does not have: until that is mended the policy applies to the whole Api, and its steps do not count as authentication, remove it: the Api has no operations',
      'file.yaml:9:spec.targetRefs[3].sectionName: names the operation "orders", which the Api large does not have: until that is mended the policy applies to the whole Api, and its steps do not count as authentication, name one of its operations: a1, a2, a3, a4, a5 and 1 more',
    ],
    'an Api that does not exist': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  targetRefs: [{kind: Api, name: fleets}]
  request: [{name: a, removeHeaders: [x-a]}]
`,
      'file.yaml:5:spec.targetRefs[0].name: names the Api "fleets", which does not exist: this target has no effect, write "fleet"',
    ],
    'an operation that does not exist': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  targetRefs: [{kind: Api, name: fleet, sectionName: telemetri}]
  request: [{name: a, removeHeaders: [x-a]}]
`,
      'file.yaml:5:spec.targetRefs[0].sectionName: names the operation "telemetri", which the Api fleet does not have: until that is mended the policy applies to the whole Api, and its steps do not count as authentication, write "telemetry"',
    ],
    'a label that no Api has': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  targetSelectors: [{kind: Api, matchLabels: {product: silver}}]
  request: [{name: a, removeHeaders: [x-a]}]
`,
      'file.yaml:5:spec.targetSelectors[0].matchLabels: warning: selects no Api of this namespace: this target has no effect, label an Api so, or remove the selector',
    ],
    'a Secret and a ConfigMap that do not exist': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  variables:
    a: {secretKeyRef: {name: s, key: k}}
    b: {configMapKeyRef: {name: c, key: k}}
  request: [{name: a, setHeaders: [{name: x-a, value: "\${vars.a}\${vars.b}"}]}]
`,
      'file.yaml:6:spec.variables.a.secretKeyRef: warning: names the key "k" of the Secret "s", which does not exist, create it; until then what needs it is answered 503',
      'file.yaml:7:spec.variables.b.configMapKeyRef: warning: names the key "k" of the ConfigMap "c", which does not exist, create it; until then what needs it is answered 503',
    ],
    'a child that tries to leave a sealed parent out': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: gold, namespace: shop}
spec:
  targetSelectors: [{kind: Api, matchLabels: {product: gold}}]
  request: [{name: rate, rateLimit: {calls: 1, period: 1s}}]
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: fleet, namespace: shop}
spec:
  targetRefs: [{kind: Api, name: fleet}]
  inherit: None
  request: [{name: a, removeHeaders: [x-a]}]
`,
      'base.yaml:23:metadata.name: warning: no policy lets anybody in (AuthPolicy shop/fleet and AuthPolicy shop/gold have no authentication step): every request is answered 403 NoPolicyMatches, write an AuthPolicy of namespace shop with targetRefs: [{kind: Api, name: fleet}] and a step that authenticates; anyOf: [{anonymous: {}}] opens it to all',
      'file.yaml:13:spec.inherit: warning: None does not leave out AuthPolicy shop/gold, which is sealed: its steps still run, remove inherit: None, or set sealed: false on the broader policy',
    ],
    'two policies of one scope that set the same credential': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {targetRefs: [{kind: Api, name: fleet}], backend: {credential: mesh}}
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: b, namespace: shop}
spec: {targetRefs: [{kind: Api, name: fleet}], backend: {credential: mesh}}
`,
      'file.yaml:9:spec.backend.credential: conflicts with AuthPolicy shop/a, which sets it at the same scope, set it in one of the two',
    ],
    'two policies of one scope that set the same error field': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {targetRefs: [{kind: Api, name: fleet}], errors: {format: Text}}
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: b, namespace: shop}
spec: {targetRefs: [{kind: Api, name: fleet}], errors: {format: Empty, includePolicy: true}}
`,
      'file.yaml:9:spec.errors.format: conflicts with AuthPolicy shop/a, which sets it at the same scope, set it in one of the two',
    ],
    'two Apis that match the same request': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: other, namespace: shop}
spec:
  podSelector: {matchLabels: {app: fleet}}
  port: 8080
  operations: [{name: same, methods: [GET], path: "/devices/{id}"}]
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  targetRefs: [{kind: Api, name: other}]
  request: [{name: a, removeHeaders: [x-a]}]
`,
      'file.yaml:7:spec.operations[0].path: matches the same requests as Api shop/fleet, to which other policies apply, give one of them another host, path or method',
    ],
    'two Apis of one port that differ in what the port has': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: other, namespace: shop}
spec:
  podSelector: {matchLabels: {app: fleet}}
  port: 8080
  basePath: /other
  clientAddress: {from: ForwardedFor}
`,
      'file.yaml:8:spec.clientAddress: differs from Api shop/fleet, which shares port 8080, write the same in both, or use another port',
    ],
    'a header that a sealed broader policy owns': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: all, namespace: shop}
spec:
  request: [{name: set, setHeaders: [{name: x-zone, value: a}]}]
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: fleet, namespace: shop}
spec:
  targetRefs: [{kind: Api, name: fleet}]
  request: [{name: set, setHeaders: [{name: X_Zone, value: b}]}]
`,
      'file.yaml:12:spec.request[0]: warning: writes the header "X_Zone", which the sealed AuthPolicy shop/all sets or removes: it has no effect, remove it',
    ],
    'a header from which a credential is read': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: caller, jwt: {issuers: [corp], audiences: [x]}}
  - {name: set, setHeaders: [{name: authorization, value: x}]}
`,
      'file.yaml:7:spec.request[1].setHeaders[0].name: sets the header "authorization", from which an authentication step reads its credential, use another header',
    ],
    'a credential of an app that is misspelt': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: b, namespace: shop}
spec:
  podSelector: {matchLabels: {app: b}}
  port: 8080
  app: {scheme: https, credential: mash, trust: {systemRoots: true}}
`,
      'file.yaml:7:spec.app.credential: names the BackendCredential "mash", which does not exist, write "mesh"',
    ],
    'a cluster policy that would hand out a Secret': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: ClusterAuthPolicy
metadata: {name: a}
spec:
  variables: {a: {secretKeyRef: {namespace: shop, name: s, key: k}}}
`,
      'file.yaml:5:spec.variables.a.secretKeyRef: would bring a Secret of the cluster policy to tenants’ sidecars, set shareSecrets: true if that is meant, or use a ConfigMap',
      'file.yaml:5:spec.variables.a.secretKeyRef: warning: names the key "k" of the Secret "s", which does not exist, create it; until then what needs it is answered 503',
    ],
  }));

describe('check finds in expressions', () =>
  testCases({
    'CEL that cannot be parsed': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: rules, authorize: {allow: [{expression: "request.method = 'GET'"}]}}
`,
      'file.yaml:6:spec.request[0].authorize.allow[0].expression: is not valid CEL: Unexpected character: = (column 16), did you mean ==?',
    ],
    'an unknown variable': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: rules, authorize: {allow: [{expression: "user.name == 'x'"}]}}
`,
      'file.yaml:6:spec.request[0].authorize.allow[0].expression: uses the variable "user", which does not exist here, use one of request, source, jwt, cert, subscription, caller, params, vars and steps',
    ],
    'a type that does not fit': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: rules, authorize: {deny: [{expression: "request.size == 'big'"}]}}
  - {name: rest, when: request.path, removeHeaders: [x-a]}
`,
      'file.yaml:6:spec.request[0].authorize.deny[0].expression: has a wrong type: no such overload: int == string, mend the expression',
      'file.yaml:7:spec.request[1].when: is of type string, but a bool is wanted, write a condition: true or false',
    ],
    'a template that reads a step before it ran': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  targetRefs: [{kind: Api, name: fleet, sectionName: device}]
  request:
  - {name: context, setHeaders: [{name: x-a, value: "\${steps.device.body.deviceId}"}]}
  - {name: device, deviceAuth: {service: devices, deviceId: "\${params.deviceId}"}}
`,
      'file.yaml:7:spec.request[0].setHeaders[0].value: in ${…} reads steps.device, which runs later in this policy, read what is known at this place',
    ],
    'a variable that nobody sets': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  variables: {tier: {value: gold}}
  request:
  - {name: set, setHeaders: [{name: x-a, value: "\${vars.teir}"}]}
`,
      'file.yaml:7:spec.request[0].setHeaders[0].value: in ${…} reads vars.teir, which does not exist here, write vars.tier',
    ],
    'a parameter that no path has': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  targetRefs: [{kind: Api, name: fleet}]
  request:
  - {name: device, deviceAuth: {service: devices, deviceId: "\${params.device}"}}
`,
      'file.yaml:7:spec.request[0].deviceAuth.deviceId: in ${…} reads params.device, which does not exist here, write params.deviceId',
    ],
    'a hole that is not closed': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: set, setHeaders: [{name: x-a, value: "\${request.path"}]}
`,
      'file.yaml:6:spec.request[0].setHeaders[0].value: holds a ${ without its }, close it, or write $${ for a literal ${',
    ],
    'a hole that holds an object': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: set, setHeaders: [{name: x-a, value: "\${request.headers}"}]}
`,
      'file.yaml:6:spec.request[0].setHeaders[0].value: in ${…} holds a value of type map<string, string>, but only string, int and bool may stand in a template, convert it with string(…) or join(…)',
    ],
    'a header’s value that would end the line': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: set, setHeaders: [{name: x-a, value: "a\\nb"}]}
`,
      'file.yaml:6:spec.request[0].setHeaders[0].value: holds a control character, which no header can carry, write it on one line',
    ],
    'a regular expression that is none': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: rules, authorize: {allow: [{expression: "request.path.matches('(a')"}]}}
`,
      'file.yaml:6:spec.request[0].authorize.allow[0].expression: the regular expression "(a" is not one of RE2 (back-references and look-around do not exist there), write it for RE2',
    ],
    'a device-auth answer judged by what it does not know': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: DeviceAuthService
metadata: {name: b, namespace: shop}
spec:
  url: "http://b.shop.svc/\${params.deviceId}"
  allow: {expression: "jwt.subject == deviceId"}
`,
      'file.yaml:5:spec.url: in ${…} uses the variable "params", which does not exist here, use one of cert, deviceId and certificateIdentity',
      'file.yaml:6:spec.allow.expression: uses the variable "jwt", which does not exist here, use one of cert, deviceId, certificateIdentity, body and status',
    ],
  }));

/** What is wrong with fields, each by itself. */
import { describe } from 'node:test';
import { manifest, testCases } from './check-manifests.ts';

describe('check finds in policies', () =>
  testCases({
    'a field that is misspelt': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  targetRef: [{kind: Api, name: fleet}]
`,
      'file.yaml:5:spec.targetRef: is not a known field, did you mean "targetRefs"?',
    ],
    'a field that does not exist': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - name: caller
    clientCertificate: {trust: devices, required: true}
`,
      'file.yaml:7:spec.request[0].clientCertificate.required: is not a known field, remove it, or write trust or identities',
    ],
    'a value of the wrong type': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  sealed: "true"
  request: {name: a}
`,
      'file.yaml:5:spec.sealed: is the string "true", but true or false is wanted, write true or false, without quotes',
      'file.yaml:6:spec.request: is an object, but a list is wanted, write a list: one "- " item a line',
    ],
    'an empty list': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: a, jwt: {issuers: [corp], audiences: []}}
`,
      'file.yaml:6:spec.request[0].jwt.audiences: is an empty list, write at least one item',
    ],
    'a field without a value': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - name: a
    clientCertificate:
      trust: devices
      identities:
`,
      'file.yaml:9:spec.request[0].clientCertificate.identities: is empty, but a list is wanted, write a list: one "- " item a line',
    ],
    'a step without a type': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  response:
  - name: nothing
`,
      'file.yaml:6:spec.response[0]: has none of hideBackend, setHeaders, removeHeaders, replaceText, choose and respond, write exactly one of them',
    ],
    'two types in one step': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - name: both
    clientCertificate: {trust: devices}
    jwt: {issuers: [corp], audiences: [x]}
`,
      'file.yaml:7:spec.request[0].clientCertificate: jwt and clientCertificate exclude each other, keep one of them',
    ],
    'two steps of one name': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: a, removeHeaders: [x-a]}
  - {name: a, removeHeaders: [x-b]}
`,
      'file.yaml:7:spec.request[1].name: "a" is already used by item 0, give it another name',
    ],
    'a duration without a unit': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: rate, rateLimit: {calls: 10, period: 60}}
`,
      'file.yaml:6:spec.request[0].rateLimit.period: is the number 60, but a duration is wanted, give it a unit: 60s or 60ms',
    ],
    'a duration that is none': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: rate, rateLimit: {calls: 10, period: 1 minute}}
`,
      'file.yaml:6:spec.request[0].rateLimit.period: "1 minute" is not a duration, write a duration such as 500ms, 10s or 1h30m',
    ],
    'a period that is too long': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: rate, rateLimit: {calls: 10, period: 48h}}
`,
      'file.yaml:6:spec.request[0].rateLimit.period: 48h is out of bounds, write a duration from 1s to 24h',
    ],
    'a size that is none': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  response:
  - {name: hide, hideBackend: {bodies: {mediaTypes: [application/json], maxBytes: 1MB}}}
`,
      'file.yaml:6:spec.response[0].hideBackend.bodies.maxBytes: "1MB" is not a number of bytes, write bytes such as 65536, 64Ki or 1Mi',
    ],
    'a media type that is none': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  response:
  - {name: hide, hideBackend: {bodies: {mediaTypes: [json]}}}
`,
      'file.yaml:6:spec.response[0].hideBackend.bodies.mediaTypes[0]: "json" is not allowed here, write a media type such as application/json or text/*',
    ],
    'headers that may not be set': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - name: set
    setHeaders:
    - {name: Host, value: other}
    - {name: content_length, value: "0"}
  - {name: remove, removeHeaders: [Transfer-Encoding]}
  - name: token
    jwt: {issuers: [corp], audiences: [x], claimHeaders: {Connection: azp}}
`,
      'file.yaml:8:spec.request[0].setHeaders[0].name: the header "Host" frames the message or belongs to the connection, so no policy may set or remove it, remove it',
      'file.yaml:9:spec.request[0].setHeaders[1].name: the header "content_length" frames the message or belongs to the connection, so no policy may set or remove it, remove it',
      'file.yaml:10:spec.request[1].removeHeaders[0]: the header "Transfer-Encoding" frames the message or belongs to the connection, so no policy may set or remove it, remove it',
      'file.yaml:12:spec.request[2].jwt.claimHeaders.Connection: the header "Connection" frames the message or belongs to the connection, so no policy may set or remove it, remove it',
    ],
    'a header’s name that is none': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: set, setHeaders: [{name: "x a", value: b}]}
`,
      'file.yaml:6:spec.request[0].setHeaders[0].name: "x a" is not allowed here, write an HTTP token, for example X-Client-Id',
    ],
    'a header with two values': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: set, setHeaders: [{name: x-a, value: b, pairs: {c: d}}]}
`,
      'file.yaml:6:spec.request[0].setHeaders[0].pairs: value and pairs exclude each other, keep one of value, pairs and dictionary',
    ],
    'a dictionary with a key that RFC 9651 does not allow': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: set, setHeaders: [{name: x-a, dictionary: {deviceId: b}}]}
`,
      'file.yaml:6:spec.request[0].setHeaders[0].dictionary.deviceId: "deviceId" is not allowed here, write a key of RFC 9651: lower-case letters, digits, _, -, . and *',
    ],
    'Any beside other audiences': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: token, jwt: {issuers: [corp], audiences: [Any, x]}}
`,
      'file.yaml:6:spec.request[0].jwt.audiences: "Any" stands beside other audiences, write [Any] alone, or leave it out',
    ],
    'a DNS name matched by prefix': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - name: device
    clientCertificate:
      trust: devices
      identities:
      - subjectAltName: {dns: {prefix: robot.}}
`,
      'file.yaml:10:spec.request[0].clientCertificate.identities[0].subjectAltName.dns.prefix: a DNS name cannot be matched by prefix: anybody may own the rest, use exact or suffix',
    ],
    'a thumbprint that is none': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: device, clientCertificate: {trust: devices, identities: [{thumbprint: "AB:CD"}]}}
`,
      'file.yaml:6:spec.request[0].clientCertificate.identities[0].thumbprint: "AB:CD" is not allowed here, write 40 or 64 hex digits',
    ],
    'a reason that does not exist': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  errors:
    overrides:
    - {reasons: [DeviceNotRecognised, Forbidden], status: 200}
`,
      'file.yaml:7:spec.errors.overrides[0].reasons[0]: "DeviceNotRecognised" is not known, did you mean "DeviceNotRecognized"?',
      'file.yaml:7:spec.errors.overrides[0].reasons[1]: "Forbidden" is not known, write one of those that the reference page lists',
      'file.yaml:7:spec.errors.overrides[0].status: 200 is out of bounds, write a whole number from 400 to 599',
    ],
    'a variable that no expression could name': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  variables:
    backend-name: {value: x}
`,
      'file.yaml:6:spec.variables.backend-name: "backend-name" is not allowed here, write a name of letters, digits and _ that does not start with a digit',
    ],
    'a value that is in no place': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  variables:
    x: {secretKeyRef: {name: s}}
`,
      'file.yaml:6:spec.variables.x.secretKeyRef.key: is missing, add it: The key in its data',
    ],
    'fields of the cluster kind': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  namespaceSelector: {matchLabels: {a: b}}
`,
      'file.yaml:5:spec.namespaceSelector: is not a known field, remove it, or write targetRefs, targetSelectors, inherit, mode, sealed, variables, request, backend, response or errors',
    ],
    'references of a cluster policy without a namespace': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: ClusterAuthPolicy
metadata: {name: a}
spec:
  inherit: Before
  targetRefs: [{kind: Api, name: fleet}]
  request:
  - {name: token, jwt: {issuers: [corp], audiences: [x]}}
`,
      'file.yaml:5:spec.inherit: is not a known field, remove it, or write targetSelectors, namespaceSelector, mode, sealed, variables, request, backend, response, errors, shareSecrets, sharedStore or allowances',
      'file.yaml:6:spec.targetRefs: is not a known field, remove it, or write targetSelectors, namespaceSelector, mode, sealed, variables, request, backend, response, errors, shareSecrets, sharedStore or allowances',
      'file.yaml:8:spec.request[0].jwt.issuers[0]: "corp" has no namespace, write namespace/name, for example shop/corp',
    ],
    'a cluster policy in a namespace': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: ClusterAuthPolicy
metadata: {name: a, namespace: shop}
spec: {}
`,
      'file.yaml:3:metadata.namespace: the kind is cluster-scoped and has no namespace, remove it',
    ],
    'allowances that say nothing, never end or end on no day': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: ClusterAuthPolicy
metadata: {name: a}
spec:
  allowances:
  - {defaultAction: Allow}
  - {until: 2027-01-31T00:00:00Z}
  - {excludePorts: [9090, 9090]}
  - {udpPorts: [0], until: 2027-02-30T00:00:00Z}
  - {privilegedContainers: true, until: tomorrow}
  - {defaultAction: Deny, until: 2027-01-31T00:00:00Z}
`,
      'file.yaml:6:spec.allowances[0].until: defaultAction: Allow needs an end, write until: with the time at which the ports are closed again',
      'file.yaml:7:spec.allowances[1]: has none of defaultAction, excludePorts, udpPorts and privilegedContainers, write at least one of them',
      'file.yaml:8:spec.allowances[2].excludePorts[1]: 9090 is already used by item 0, remove it',
      'file.yaml:9:spec.allowances[3].udpPorts[0]: 0 is out of bounds, write a whole number from 1 to 65535',
      'file.yaml:9:spec.allowances[3].until: "2027-02-30T00:00:00Z" is no moment of the calendar, write a time such as 2027-01-31T00:00:00Z',
      'file.yaml:10:spec.allowances[4].until: "tomorrow" is not allowed here, write a time such as 2027-01-31T00:00:00Z',
      'file.yaml:11:spec.allowances[5].defaultAction: "Deny" is not known, write Allow',
    ],
  }));

describe('check finds in Apis', () =>
  testCases({
    'peers of the PROXY protocol': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: b, namespace: shop}
spec:
  podSelector: {matchLabels: {app: b}}
  port: 8080
  proxyProtocol: {from: [10.0.9.1, 10.0.9.0/16, "::ffff:10.0.0.0/104", balancer, 10.0.0.0/8, 10.0.0.0/8]}
`,
      'file.yaml:7:spec.proxyProtocol.from[0]: "10.0.9.1" is not an address range, write 10.0.9.1/32',
      'file.yaml:7:spec.proxyProtocol.from[1]: "10.0.9.0/16" has bits set beyond its prefix, write 10.0.0.0/16',
      'file.yaml:7:spec.proxyProtocol.from[2]: "::ffff:10.0.0.0/104" is a range of IPv4 addresses in IPv6 form, write 10.0.0.0/8',
      'file.yaml:7:spec.proxyProtocol.from[3]: "balancer" is not an address range, write one such as 10.0.8.0/24 or 2001:db8::/32',
      'file.yaml:7:spec.proxyProtocol.from[5]: "10.0.0.0/8" is already used by item 4, remove it',
    ],
    'the PROXY protocol of nobody': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: b, namespace: shop}
spec: {podSelector: {matchLabels: {app: b}}, port: 8080, proxyProtocol: {from: []}}
---
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: c, namespace: shop}
spec: {podSelector: {matchLabels: {app: b}}, port: 8080, proxyProtocol: {trustedPeers: []}}
`,
      'file.yaml:4:spec.proxyProtocol.from: is an empty list, write at least one item',
      'file.yaml:9:spec.proxyProtocol.from: is missing, add it: Address ranges of load balancers that send it',
      'file.yaml:9:spec.proxyProtocol.trustedPeers: is not a known field, remove it, or write from',
    ],
    'TCP where there are requests, or a first byte that tells': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  port: 5432
  protocol: TCP
  hosts: [db.example.com]
  tls: {mode: Permissive, certificate: {secretName: cert}}
  clientAddress: {from: ForwardedFor}
  app: {url: "http://other.example"}
`,
      'file.yaml:7:spec.protocol: TCP has no requests, so nothing of it can match hosts, basePath or operations, remove hosts, basePath and operations',
      'file.yaml:9:spec.tls: the first byte of TCP may be any, so nobody can tell TLS from plaintext by it, write mode: Terminate, or remove tls',
      'file.yaml:10:spec.clientAddress: TCP has no X-Forwarded-For, write from: Peer; with proxyProtocol the sender says who the client is',
      'file.yaml:11:spec.app: protocol: TCP passes bytes on to the pod, not to a URL, remove url',
    ],
    'what every Api must have': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: b, namespace: shop}
spec:
  hosts: []
`,
      'file.yaml:4:spec.podSelector: is missing, add it: The pods of this Api, by their labels',
      'file.yaml:4:spec.port: is missing, add it: Container port that is intercepted (number or name)',
      'file.yaml:5:spec.hosts: is an empty list, write at least one item',
    ],
    'a port out of bounds, in quotes, and of no name': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: b, namespace: shop}
spec: {podSelector: {matchLabels: {app: b}}, port: 70000}
---
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: c, namespace: shop}
spec: {podSelector: {matchLabels: {app: b}}, port: "8080"}
---
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: d, namespace: shop}
spec: {podSelector: {matchLabels: {app: b}}, port: HTTP}
`,
      'file.yaml:4:spec.port: 70000 is out of bounds, write a port from 1 to 65535, or the name of a container port',
      'file.yaml:9:spec.port: is the string "8080", which reads as a name, write the number without quotes',
      'file.yaml:14:spec.port: "HTTP" is not allowed here, write a port from 1 to 65535, or the name of a container port',
    ],
    'hosts that are none': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: b, namespace: shop}
spec:
  podSelector: {matchLabels: {app: b}}
  port: 8080
  hosts: ["https://fleet.example.com", "fleet.example.com:8080", "*.*.example.com", "a_b.example.com"]
`,
      'file.yaml:7:spec.hosts[0]: "https://fleet.example.com" is not allowed here, write a host name without port, optionally *. in front',
      'file.yaml:7:spec.hosts[1]: "fleet.example.com:8080" is not allowed here, write a host name without port, optionally *. in front',
      'file.yaml:7:spec.hosts[2]: "*.*.example.com" is not allowed here, write a host name without port, optionally *. in front',
      'file.yaml:7:spec.hosts[3]: "a_b.example.com" is not allowed here, write a host name without port, optionally *. in front',
    ],
    'address ranges that are none': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: b, namespace: shop}
spec:
  podSelector: {matchLabels: {app: b}}
  port: 8080
  trustedPeers:
  - {cidr: 10.0.8.0/33}
  - {cidr: 10.0.8.1}
  - {cidr: 10.0.8.1/24}
  - {cidr: "::ffff:10.0.0.0/104"}
  - {identity: "spiffe://a/b"}
`,
      'file.yaml:8:spec.trustedPeers[0].cidr: "10.0.8.0/33" is not an address range, write one such as 10.0.8.0/24 or 2001:db8::/32',
      'file.yaml:9:spec.trustedPeers[1].cidr: "10.0.8.1" is not an address range, write 10.0.8.1/32',
      'file.yaml:10:spec.trustedPeers[2].cidr: "10.0.8.1/24" has bits set beyond its prefix, write 10.0.8.0/24',
      'file.yaml:11:spec.trustedPeers[3].cidr: "::ffff:10.0.0.0/104" is a range of IPv4 addresses in IPv6 form, write 10.0.0.0/8',
      'file.yaml:12:spec.trustedPeers[4].trust: identity and trust belong together, give both, or cidr alone',
    ],
    'paths that no request has': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: b, namespace: shop}
spec:
  podSelector: {matchLabels: {app: b}}
  port: 8080
  basePath: v1
  operations:
  - {name: a, path: devices}
  - {name: b, path: "/a//b"}
  - {name: c, path: "/a/*/b"}
  - {name: d, path: "/a/{b"}
  - {name: e, path: "/a?b=c"}
  - {name: f, path: "/a/../b"}
  - {name: g, path: "/{a}/{a}"}
  - {name: h, methods: [get], path: /a}
`,
      'file.yaml:7:spec.basePath: "v1" is not allowed here, write a literal path that starts with /',
      'file.yaml:9:spec.operations[0].path: "devices" is not allowed here, write a path such as /devices/{deviceId} or /files/*; a * may stand at the end only, after a /',
      'file.yaml:10:spec.operations[1].path: "/a//b" is not allowed here, write a path such as /devices/{deviceId} or /files/*; a * may stand at the end only, after a /',
      'file.yaml:11:spec.operations[2].path: "/a/*/b" is not allowed here, write a path such as /devices/{deviceId} or /files/*; a * may stand at the end only, after a /',
      'file.yaml:12:spec.operations[3].path: "/a/{b" is not allowed here, write a path such as /devices/{deviceId} or /files/*; a * may stand at the end only, after a /',
      'file.yaml:13:spec.operations[4].path: "/a?b=c" is not allowed here, write a path such as /devices/{deviceId} or /files/*; a * may stand at the end only, after a /',
      'file.yaml:14:spec.operations[5].path: holds the segment "..", which no request has, remove it',
      'file.yaml:15:spec.operations[6].path: holds the parameter "a" twice, give each parameter its own name',
      'file.yaml:16:spec.operations[7].methods[0]: "get" is not allowed here, write an upper-case method such as GET',
    ],
    'an https app that nobody vouches for': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: b, namespace: shop}
spec:
  podSelector: {matchLabels: {app: b}}
  port: 8080
  app: {scheme: https, credential: mesh}
`,
      'file.yaml:7:spec.app.trust: an https app needs trust or fingerprint, name the CA that signs the app’s certificate: trust: {configMapKeyRef: {name: app-ca, key: ca.crt}}',
    ],
    'a certificate for an app that speaks plain HTTP': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: b, namespace: shop}
spec:
  podSelector: {matchLabels: {app: b}}
  port: 8080
  app: {credential: mesh}
`,
      'file.yaml:7:spec.app.credential: names the BackendCredential "mesh", a certificate, but scheme is http, set scheme: https, or name one of a header sort',
    ],
    'two trusts in one app': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: b, namespace: shop}
spec:
  podSelector: {matchLabels: {app: b}}
  port: 8080
  app:
    scheme: https
    trust: {systemRoots: true}
    fingerprint: "sha256:abcd"
`,
      'file.yaml:10:spec.app.fingerprint: "sha256:abcd" is not allowed here, write sha256: and 64 hex digits',
      'file.yaml:10:spec.app.fingerprint: trust and fingerprint exclude each other, keep one of them',
    ],
    'a fixed back end that is no URL': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: b, namespace: shop}
spec:
  podSelector: {matchLabels: {app: b}}
  port: 8080
  app: {url: "https://user@queue.example.com:99999/x?y", address: Loopback}
`,
      'file.yaml:7:spec.app.url: "https://user@queue.example.com:99999/x?y" is not allowed here, write an http or https URL without query, fragment and user',
    ],
    'sizes and times out of bounds': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: b, namespace: shop}
spec:
  podSelector: {matchLabels: {app: b}}
  port: 8080
  limits: {headBytes: 64KB, targetBytes: 1Mi, bodyBytes: -1, headTimeout: 10, headers: 0, connections: many}
`,
      'file.yaml:7:spec.limits.bodyBytes: -1 is not a number of bytes, write bytes such as 65536, 64Ki or 1Mi',
      'file.yaml:7:spec.limits.connections: is the string "many", but a whole number is wanted, write a whole number from 1 to 1000000',
      'file.yaml:7:spec.limits.headBytes: "64KB" is not a number of bytes, write bytes such as 65536, 64Ki or 1Mi',
      'file.yaml:7:spec.limits.headTimeout: is the number 10, but a duration is wanted, give it a unit: 10s or 10ms',
      'file.yaml:7:spec.limits.headers: 0 is out of bounds, write a whole number from 1 to 1000',
      'file.yaml:7:spec.limits.targetBytes: 1Mi is out of bounds, write bytes from 256 to 64Ki',
    ],
    'a TLS version without quotes': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: b, namespace: shop}
spec:
  podSelector: {matchLabels: {app: b}}
  port: 8080
  tls: {certificate: {secretName: b-tls}, minVersion: 1.2}
`,
      'file.yaml:7:spec.tls.minVersion: is the number 1.2, but one of a fixed set of words is wanted, write it in quotes: "1.2"',
    ],
  }));

describe('check finds in supporting objects', () =>
  testCases({
    'an issuer without keys': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: TokenIssuer
metadata: {name: b, namespace: shop}
spec: {issuer: "https://b.example/"}
`,
      'file.yaml:4:spec: has none of discovery, jwks and keys, write exactly one of them',
    ],
    'an issuer of two sorts, and one of an algorithm that fetched keys may not have': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: TokenIssuer
metadata: {name: b, namespace: shop}
spec:
  discovery: {url: "https://b.example/"}
  jwks: {url: "https://b.example/keys"}
---
apiVersion: sallyport.dev/v1alpha1
kind: TokenIssuer
metadata: {name: c, namespace: shop}
spec:
  jwks: {url: "https://c.example/keys"}
  algorithms: [HS256, none]
---
apiVersion: sallyport.dev/v1alpha1
kind: TokenIssuer
metadata: {name: d, namespace: shop}
spec:
  discovery: {url: "https://d.example/"}
  algorithms: [HS256]
`,
      'file.yaml:6:spec.jwks: discovery and jwks exclude each other, keep one of discovery, jwks and keys',
      'file.yaml:13:spec.algorithms[1]: "none" is not known, write RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, HS256, HS384 or HS512',
      'file.yaml:20:spec.algorithms: HS* needs explicit symmetric keys: with fetched keys a public key could serve as the secret, remove HS*, or give keys',
    ],
    'a key set without an issuer': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: TokenIssuer
metadata: {name: b, namespace: shop}
spec: {jwks: {url: "https://b.example/keys"}}
`,
      'file.yaml:4:spec.issuer: issuer is missing, and without discovery nothing says it, write the exact iss of the tokens',
    ],
    'an issuer’s address that is no URL': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: TokenIssuer
metadata: {name: b, namespace: shop}
spec: {discovery: {url: login.example.com, trust: {systemRoots: false}}}
`,
      'file.yaml:4:spec.discovery.trust.systemRoots: is false, which means nothing here, remove it',
      'file.yaml:4:spec.discovery.url: "login.example.com" is not allowed here, write an http or https URL',
    ],
    'a trust without anchors': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: ClientTrust
metadata: {name: b, namespace: shop}
spec: {anchors: []}
`,
      'file.yaml:4:spec.anchors: is an empty list, write at least one item',
    ],
    'revocation without lists': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: ClientTrust
metadata: {name: b, namespace: shop}
spec:
  anchors: [{configMapKeyRef: {name: ca, key: ca.crt}}]
  revocation: {mode: Strict}
`,
      'file.yaml:6:spec.revocation.crls: Strict and SoftFail need at least one list, name a CRL, or write mode: Disabled',
    ],
    'an anchor that is named twice over': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: ClientTrust
metadata: {name: b, namespace: shop}
spec:
  anchors:
  - configMapKeyRef: {name: ca, key: ca.crt}
    secretKeyRef: {name: ca, key: ca.crt}
`,
      'file.yaml:6:spec.anchors[0].configMapKeyRef: secretKeyRef and configMapKeyRef exclude each other, keep one of them',
    ],
    'a device-auth service whose authority is not fixed': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: DeviceAuthService
metadata: {name: b, namespace: shop}
spec: {url: "https://\${deviceId}.example/check"}
`,
      'file.yaml:4:spec.url: "https://${deviceId}.example/check" is not allowed here, write an http or https URL with a literal authority',
    ],
    'a device-auth request that sets the framing': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: DeviceAuthService
metadata: {name: b, namespace: shop}
spec:
  url: http://b.shop.svc/
  request: {method: PUT, headers: {Host: other, Content-Length: "0"}, query: {"a b": c}}
`,
      'file.yaml:6:spec.request.headers.Content-Length: the header "Content-Length" frames the message or belongs to the connection, so no policy may set or remove it, remove it',
      'file.yaml:6:spec.request.headers.Host: the header "Host" frames the message or belongs to the connection, so no policy may set or remove it, remove it',
      'file.yaml:6:spec.request.method: "PUT" is not known, write GET or POST',
      'file.yaml:6:spec.request.query["a b"]: "a b" is not allowed here, write letters, digits, ., _, ~ and -',
    ],
    'a credential of two sorts': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec:
  meshCertificate: {secretName: a, managed: {}}
  basic: {username: {value: a}}
`,
      'file.yaml:5:spec.meshCertificate.secretName: managed and secretName exclude each other, keep one of managed, secretName and files',
      'file.yaml:6:spec.basic: meshCertificate and basic exclude each other, keep one of meshCertificate, sharedAccessSignature, basic, header, oauth2ClientCredentials and signedContext',
      'file.yaml:6:spec.basic.password: is missing, add it: The password',
    ],
  }));

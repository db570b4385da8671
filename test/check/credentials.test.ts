/** What is wrong with credentials that are sent in headers, each by itself. */
import { describe } from 'node:test';
import { manifest, testCases } from './check-manifests.ts';

const OTHER_SORTS = 'meshCertificate, sharedAccessSignature, basic, header, oauth2ClientCredentials and signedContext';

const SECRET = manifest`
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: shop}
stringData: {good: s3cr3t, lines: "a\\nb", pem: "no key"}
---
apiVersion: v1
kind: Secret
metadata: {name: bound, namespace: shop, annotations: {sallyport.dev/allowed-hosts: "queue.example, *.bus.example"}}
stringData: {good: s3cr3t}
---
apiVersion: sallyport.dev/v1alpha1
kind: Api
metadata: {name: queue, namespace: shop}
spec: {podSelector: {matchLabels: {app: queue}}, port: 8443, app: {url: "https://q.example/", trust: {systemRoots: true}}}
`;

describe('check finds in sharedAccessSignature', () =>
  testCases(
    {
      'what is missing': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec: {sharedAccessSignature: {resourceUri: {value: "https://q.example/"}}}
`,
        'file.yaml:4:spec.sharedAccessSignature.key: is missing, add it: The primary key, as text: it is not decoded',
        'file.yaml:4:spec.sharedAccessSignature.keyName: is missing, add it: Name of the shared access policy (skn)',
      ],
      'a key that is written into the manifest': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec:
  sharedAccessSignature: {resourceUri: {value: u}, keyName: {value: n}, key: {value: s3cr3t}}
`,
        'file.yaml:5:spec.sharedAccessSignature.key.secretKeyRef: is missing, add it: A key of a Secret; a line break at its end does not count',
        'file.yaml:5:spec.sharedAccessSignature.key.value: is not a known field, remove it, or write secretKeyRef',
      ],
      'a second key that is active and not there': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec:
  sharedAccessSignature:
    resourceUri: {value: u}
    keyName: {value: n}
    key: {secretKeyRef: {name: keys, key: good}}
    activeKey: Secondary
`,
        'file.yaml:9:spec.sharedAccessSignature.activeKey: Secondary is active, and there is no secondaryKey, add secondaryKey, or write Primary',
      ],
      'a lifetime that is too short, and one that is no duration': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec: {sharedAccessSignature: {resourceUri: {value: u}, keyName: {value: n}, key: {secretKeyRef: {name: keys, key: good}}, ttl: 1s}}
---
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: c, namespace: shop}
spec: {sharedAccessSignature: {resourceUri: {value: u}, keyName: {value: n}, key: {secretKeyRef: {name: keys, key: good}}, ttl: 60}}
`,
        'file.yaml:4:spec.sharedAccessSignature.ttl: 1s is out of bounds, write a duration from 10s to 24h',
        'file.yaml:9:spec.sharedAccessSignature.ttl: is the number 60, but a duration is wanted, give it a unit: 60s or 60ms',
      ],
      'a value from two places': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec:
  sharedAccessSignature:
    resourceUri: {value: u, configMapKeyRef: {name: a, key: b}}
    keyName: {value: n}
    key: {secretKeyRef: {name: keys, key: good, namespace: other}}
`,
        'file.yaml:6:spec.sharedAccessSignature.resourceUri.configMapKeyRef: value and configMapKeyRef exclude each other, keep one of value, configMapKeyRef and secretKeyRef',
        'file.yaml:8:spec.sharedAccessSignature.key.secretKeyRef.namespace: only a ClusterAuthPolicy may name a namespace here, remove it',
      ],
      'Secrets and ConfigMaps that are not there': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec:
  sharedAccessSignature:
    resourceUri: {configMapKeyRef: {name: sb, key: uri}}
    keyName: {value: n}
    key: {secretKeyRef: {name: keys, key: god}}
`,
        'file.yaml:6:spec.sharedAccessSignature.resourceUri.configMapKeyRef: warning: names the key "uri" of the ConfigMap "sb", which does not exist, create it; until then what needs it is answered 503',
        'file.yaml:8:spec.sharedAccessSignature.key.secretKeyRef: warning: names the key "god" of the Secret "keys", which does not exist, did you mean "good"? Otherwise create it; until then what needs it is answered 503',
      ],
      'a Secret that may not be presented to this back end': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec: {sharedAccessSignature: {resourceUri: {value: u}, keyName: {value: n}, key: {secretKeyRef: {name: bound, key: good}}}}
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: p, namespace: shop}
spec: {targetRefs: [{kind: Api, name: queue}], backend: {credential: b}, request: [{name: o, anyOf: [{anonymous: {}}]}]}
`,
        'more.yaml:14:spec.app: warning: gets the BackendCredential "shop/b", whose Secret "shop/bound" may be presented to queue.example and *.bus.example only, and not to q.example, add the host to the annotation sallyport.dev/allowed-hosts, or present another credential; until then requests are answered 503',
      ],
    },
    undefined,
    SECRET,
  ));

describe('check finds in basic and header', () =>
  testCases(
    {
      'a password without a Secret': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec: {basic: {username: {value: a}, password: s3cr3t}}
`,
        'file.yaml:4:spec.basic.password: is the string "s3cr3t", but an object is wanted, write an object with members such as secretKeyRef',
      ],
      'a colon in a name': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec: {basic: {username: {value: "a:b"}, password: {secretKeyRef: {name: keys, key: good}}}}
`,
        'file.yaml:4:spec.basic.username.value: holds a colon, at which the app would split name and password, remove it',
      ],
      'a name that is empty': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec: {basic: {username: {}, password: {secretKeyRef: {name: keys}}}}
`,
        'file.yaml:4:spec.basic.password.secretKeyRef.key: is missing, add it: The key in its data',
        'file.yaml:4:spec.basic.username: has none of value, configMapKeyRef and secretKeyRef, write exactly one of them',
      ],
      'a password of two lines': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec: {basic: {username: {value: a}, password: {secretKeyRef: {name: keys, key: lines}}}}
`,
        'file.yaml:4:spec.basic: cannot be sent: a text that it is made of holds a control character, or one that HTTP does not take there, or is too long, put another value there',
      ],
      'two sorts at once': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec:
  header: {name: X-Key, value: {secretKeyRef: {name: keys, key: good}}}
  basic: {username: {value: a}, password: {secretKeyRef: {name: keys, key: good}}}
`,
        `file.yaml:5:spec.header: basic and header exclude each other, keep one of ${OTHER_SORTS}`,
      ],
      'a header that frames the message': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec: {header: {name: Transfer-Encoding, value: {secretKeyRef: {name: keys, key: good}}}}
`,
        'file.yaml:4:spec.header.name: the header "Transfer-Encoding" frames the message or belongs to the connection, so no policy may set or remove it, remove it',
      ],
      'a header whose name is none': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec: {header: {name: "X Key", value: {secretKeyRef: {name: keys, key: good}}}}
`,
        'file.yaml:4:spec.header.name: "X Key" is not allowed here, write an HTTP token, for example X-Client-Id',
      ],
      'a header without a value': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec: {header: {name: X-Key, values: []}}
`,
        'file.yaml:4:spec.header.value: is missing, add it: Its value, visible ASCII',
        'file.yaml:4:spec.header.values: is not a known field, did you mean "value"?',
      ],
      'a value of two lines': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec: {header: {name: X-Key, value: {secretKeyRef: {name: keys, key: lines}}}}
`,
        'file.yaml:4:spec.header: cannot be sent: a text that it is made of holds a control character, or one that HTTP does not take there, or is too long, put another value there',
      ],
    },
    undefined,
    SECRET,
  ));

describe('check finds in oauth2ClientCredentials and signedContext', () =>
  testCases(
    {
      'a token endpoint without TLS': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec: {oauth2ClientCredentials: {tokenUrl: "http://login.example/t", clientId: {value: a}, clientSecret: {secretKeyRef: {name: keys, key: good}}}}
`,
        'file.yaml:4:spec.oauth2ClientCredentials.tokenUrl: "http://login.example/t" is not allowed here, write an https URL',
      ],
      'a scope with a space, and one twice': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec:
  oauth2ClientCredentials:
    tokenUrl: https://login.example/t
    clientId: {value: a}
    clientSecret: {secretKeyRef: {name: keys, key: good}}
    scopes: [a, "b c", a]
`,
        'file.yaml:9:spec.oauth2ClientCredentials.scopes[1]: "b c" is not allowed here, write visible ASCII without spaces, " and \\',
        'file.yaml:9:spec.oauth2ClientCredentials.scopes[2]: "a" is already used by item 0, remove it',
      ],
      'a parameter that has its own field': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec:
  oauth2ClientCredentials:
    tokenUrl: https://login.example/t
    clientId: {value: a}
    clientSecret: {secretKeyRef: {name: keys, key: good}}
    parameters: {scope: x}
`,
        'file.yaml:9:spec.oauth2ClientCredentials.parameters: grant_type, client_id, client_secret and scope have their own fields, remove them',
      ],
      'another way to authenticate': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec: {oauth2ClientCredentials: {tokenUrl: "https://login.example/t", clientId: {value: a}, clientSecret: {secretKeyRef: {name: keys, key: good}}, authentication: basic}}
`,
        'file.yaml:4:spec.oauth2ClientCredentials.authentication: "basic" is not known, did you mean "Basic"?',
      ],
      'a Secret that may not be sent to the token endpoint': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec: {oauth2ClientCredentials: {tokenUrl: "https://login.example/t", clientId: {value: a}, clientSecret: {secretKeyRef: {name: bound, key: good}}}}
`,
        'file.yaml:4:spec.oauth2ClientCredentials: may not be sent to tokenUrl: its Secret has the annotation sallyport.dev/allowed-hosts, without that host, add the host to the annotation',
      ],
      'a context for nobody': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec: {signedContext: {}}
`,
        'file.yaml:4:spec.signedContext.audience: is missing, add it: aud of the token: the app that must accept it, and no other',
      ],
      'a context that lives too long': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec: {signedContext: {audience: fleet, lifetime: 1h}}
`,
        'file.yaml:4:spec.signedContext.lifetime: 1h is out of bounds, write a duration from 5s to 10m',
      ],
      'a context in a header of the connection': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec: {signedContext: {audience: fleet, header: Connection}}
`,
        'file.yaml:4:spec.signedContext.header: the header "Connection" frames the message or belongs to the connection, so no policy may set or remove it, remove it',
      ],
      'a key that is none': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec: {signedContext: {audience: fleet, key: {secretKeyRef: {name: keys, key: pem}}}}
`,
        'file.yaml:4:spec.signedContext: cannot sign: what its key names is no private key, put one in PEM or as a JWK there (P-256, P-384, P-521, Ed25519, RSA from 2048 bits)',
      ],
      'a key from a ConfigMap': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: b, namespace: shop}
spec: {signedContext: {audience: fleet, key: {configMapKeyRef: {name: keys, key: pem}}}}
`,
        'file.yaml:4:spec.signedContext.key.configMapKeyRef: is not a known field, remove it, or write secretKeyRef',
        'file.yaml:4:spec.signedContext.key.secretKeyRef: is missing, add it: A key of a Secret; a line break at its end does not count',
      ],
    },
    undefined,
    SECRET,
  ));

describe('check finds where credentials are named', () =>
  testCases(
    {
      'a certificate where a header is wanted, and the other way round': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: key, namespace: shop}
spec: {header: {name: X-Key, value: {secretKeyRef: {name: keys, key: good}}}}
---
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: context, namespace: shop}
spec: {signedContext: {audience: fleet}}
---
apiVersion: sallyport.dev/v1alpha1
kind: DeviceAuthService
metadata: {name: a, namespace: shop}
spec: {url: "https://a.shop.svc/", credential: mesh, tls: {credential: key}}
---
apiVersion: sallyport.dev/v1alpha1
kind: DeviceAuthService
metadata: {name: c, namespace: shop}
spec: {url: "https://a.shop.svc/", credential: context}
---
apiVersion: sallyport.dev/v1alpha1
kind: DeviceAuthService
metadata: {name: d, namespace: shop}
spec: {url: "https://a.shop.svc/", credential: kay}
`,
        'file.yaml:14:spec.credential: names the BackendCredential "mesh", which is a certificate, name it in spec.tls.credential, or one of a header sort here',
        'file.yaml:14:spec.tls.credential: names the BackendCredential "key", which is no certificate, name it in spec.credential, or one with meshCertificate here',
        'file.yaml:19:spec.credential: names the BackendCredential "context", which is a signed context, name one of another header sort',
        'file.yaml:24:spec.credential: names the BackendCredential "kay", which does not exist, write "key"',
      ],
      'two policies of one scope that present headers': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: BackendCredential
metadata: {name: key, namespace: shop}
spec: {header: {name: X-Key, value: {secretKeyRef: {name: keys, key: good}}}}
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {backend: {credential: key}}
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: b, namespace: shop}
spec: {backend: {credential: key}}
---
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: c, namespace: shop}
spec: {backend: {credential: mesh}}
`,
        'file.yaml:14:spec.backend.credential: conflicts with AuthPolicy shop/a, which sets it at the same scope, set it in one of the two',
      ],
      'a variable from a Secret that is for some hosts only': [
        manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  variables: {key: {secretKeyRef: {name: bound, key: good}}}
  request: [{name: s, setHeaders: [{name: X-Key, value: "\${vars.key}"}]}]
`,
        'file.yaml:5:spec.variables.key.secretKeyRef: warning: names the Secret "shop/bound", which may be presented to some hosts only (sallyport.dev/allowed-hosts), use a BackendCredential, or a Secret without that annotation; until then what reads it is answered 503',
      ],
    },
    undefined,
    SECRET,
  ));

/** What is wrong with choose, setVariables, respond, cors and replaceText, each by itself. */
import { manifest, type Cases } from '../check-manifests.ts';

export const choose: Cases = {
  'no branch': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - name: c
    choose: {otherwise: [{name: d, respond: {status: 200}}]}
`,
    'file.yaml:7:spec.request[0].choose.when: is missing, add it: Branches in order: the first whose condition is true runs',
  ],
  'a branch without a condition, and one without steps': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - name: c
    choose:
      when:
      - steps: [{name: d, respond: {status: 200}}]
      - condition: "true"
`,
    'file.yaml:9:spec.request[0].choose.when[0].condition: is missing, add it: CEL, of type bool; one that fails is like a when that fails',
    'file.yaml:10:spec.request[0].choose.when[1].steps: is missing, add it: Steps of this branch, in order; their names are unique in the policy, like all others',
  ],
  'a choose within a choose': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - name: c
    choose:
      when:
      - condition: "true"
        steps: [{name: d, choose: {when: []}}]
`,
    'file.yaml:10:spec.request[0].choose.when[0].steps[0].choose: is not a known field, remove it, or write name, when, jwt, clientCertificate, subscription, hmacSignature, anyOf, deviceAuth, authorize, ipFilter, rateLimit, quota, requireHeader, concurrency, cors, setHeaders, removeHeaders, setVariables or respond',
  ],
  'names that another branch, another step or the response part has': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - name: c
    choose:
      when:
      - condition: "true"
        steps: [{name: d, respond: {status: 200}}]
      otherwise: [{name: d, respond: {status: 200}}, {name: e, respond: {status: 200}}]
  - {name: e, respond: {status: 200}}
`,
    'file.yaml:11:spec.request[0].choose.otherwise[0].name: "d" is already used by spec.request[0].choose.when[0].steps[0], give it another name: steps are told apart by their names',
    'file.yaml:12:spec.request[1].name: "e" is already used by spec.request[0].choose.otherwise[1], give it another name: steps are told apart by their names',
  ],
  'a condition of another type, and one that reads what runs later': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - name: c
    choose:
      when:
      - condition: request.method
        steps: [{name: d, requireHeader: {name: X-A}}]
      - condition: steps.d.ran
        steps: [{name: f, authorize: {allow: [{expression: steps.e.ran}]}}]
      otherwise: [{name: e, requireHeader: {name: X-B}}]
`,
    'file.yaml:9:spec.request[0].choose.when[0].condition: is of type string, but a bool is wanted, write a condition: true or false',
    'file.yaml:11:spec.request[0].choose.when[1].condition: reads steps.d, which runs later in this policy, read what is known at this place',
    'file.yaml:12:spec.request[0].choose.when[1].steps[0].authorize.allow[0].expression: reads steps.e, which runs later in this policy, read what is known at this place',
  ],
  'a reference and an expression deep within': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - name: c
    choose:
      when:
      - condition: "true"
        steps: [{name: d, jwt: {issuers: [carp], audiences: [a]}}, {name: e, setHeaders: [{name: X, value: "\${jwt.sub}"}]}]
`,
    'file.yaml:10:spec.request[0].choose.when[0].steps[0].jwt.issuers[0]: names the TokenIssuer "carp", which does not exist, write "corp"',
    'file.yaml:10:spec.request[0].choose.when[0].steps[1].setHeaders[0].value: in ${…} reads jwt.sub, which does not exist here, use one of issuer, subject, audience and claims',
  ],
  'a header that a step in another branch reads its credential from (P13)': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - name: c
    choose:
      when:
      - condition: "true"
        steps: [{name: d, jwt: {issuers: [corp], audiences: [a], from: [{header: X-Token}]}}]
      otherwise: [{name: e, setHeaders: [{name: x_token, value: a}]}]
`,
    'file.yaml:11:spec.request[0].choose.otherwise[0].setHeaders[0].name: sets the header "x_token", from which an authentication step reads its credential, use another header',
  ],
};

/** Both at once: variables that are read where they are not known, and what an answer may not be. */
export const setVariablesAndRespond: Cases = {
  'names that are none': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: v, setVariables: {1st: a, "a-b": c, "": d}}
`,
    'file.yaml:6:spec.request[0].setVariables.a-b: "a-b" is not allowed here, write a name of letters, digits and _ that does not start with a digit',
    'file.yaml:6:spec.request[0].setVariables[""]: is empty, write a name of letters, digits and _ that does not start with a digit',
    'file.yaml:6:spec.request[0].setVariables["1st"]: "1st" is not allowed here, write a name of letters, digits and _ that does not start with a digit',
  ],
  'a value that is no text': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: v, setVariables: {a: 1}}
  - {name: w, setVariables: [a]}
`,
    'file.yaml:6:spec.request[0].setVariables.a: is the number 1, but text is wanted, write it in quotes: "1"',
    'file.yaml:7:spec.request[1].setVariables: is a list, but names and values are wanted, write lines of the form name: value',
  ],
  'a variable that is read before it is set, and one that nobody sets': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: h, setHeaders: [{name: X, value: "\${vars.later}"}]}
  - {name: v, setVariables: {later: a, own: "\${vars.own}", none: "\${vars.nowhere}"}}
`,
    'file.yaml:6:spec.request[0].setHeaders[0].value: in ${…} reads vars.later, which is set later in this policy, read what is known at this place',
    'file.yaml:7:spec.request[1].setVariables.none: in ${…} reads vars.nowhere, which does not exist here, remove it: nothing is known here',
    'file.yaml:7:spec.request[1].setVariables.own: in ${…} reads vars.own, which is set here, read what is known at this place',
  ],
  'a hole that is not closed, and one of a type that is no text': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: v, setVariables: {a: "\${request.method", b: "\${request.headers}"}}
`,
    'file.yaml:6:spec.request[0].setVariables.a: holds a ${ without its }, close it, or write $${ for a literal ${',
    'file.yaml:6:spec.request[0].setVariables.b: in ${…} holds a value of type map<string, string>, but only string, int and bool may stand in a template, convert it with string(…) or join(…)',
  ],
  'an answer without a status, with one that is none, and with a header of the connection': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: r, respond: {body: hi}}
  - {name: s, respond: {status: 99}}
  - {name: t, respond: {status: "200"}}
  - {name: u, respond: {status: 200, headers: {Connection: close}, contentType: "text/html\\r\\nX: 1"}}
`,
    'file.yaml:6:spec.request[0].respond.status: is missing, add it: HTTP status of the answer',
    'file.yaml:7:spec.request[1].respond.status: 99 is out of bounds, write a whole number from 200 to 599',
    'file.yaml:8:spec.request[2].respond.status: is the string "200", but a whole number is wanted, write it without quotes: 200',
    'file.yaml:9:spec.request[3].respond.contentType: "text/html\\r\\nX: 1" is not allowed here, write a media type such as text/plain',
    'file.yaml:9:spec.request[3].respond.headers.Connection: the header "Connection" frames the message or belongs to the connection, so no policy may set or remove it, remove it',
  ],
};

export const cors: Cases = {
  'no origin': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {request: [{name: s, cors: {allowMethods: [GET]}}]}
`,
    'file.yaml:4:spec.request[0].cors.allowOrigins: is missing, add it: Origins whose pages may read answers, compared as a whole; ["*"]: any',
  ],
  'what is no origin': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {request: [{name: s, cors: {allowOrigins: ["https://a.example/", a.example, "https://A.example", "null", "https://*.example"]}}]}
`,
    ...['https://a.example/', 'a.example', 'https://A.example', 'null', 'https://*.example'].map(
      (text, index) =>
        `file.yaml:4:spec.request[0].cors.allowOrigins[${index}]: "${text}" is not allowed here, write an origin in lower case such as https://a.example or http://localhost:3000, without a path, or "*"`,
    ),
  ],
  'any origin beside others, and with credentials': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - {name: s, cors: {allowOrigins: ["*", "https://a.example"]}}
  - {name: t, cors: {allowOrigins: ["*"], allowCredentials: true}}
  - {name: u, cors: {allowOrigins: ["https://a.example"], allowHeaders: ["*"], allowCredentials: true}}
`,
    'file.yaml:6:spec.request[0].cors.allowOrigins: "*" stands beside other origins, write ["*"] alone, or leave it out',
    'file.yaml:7:spec.request[1].cors.allowCredentials: "*" does not go with credentials: browsers refuse it, and any page could act for its reader, name them one by one, or leave allowCredentials out',
    'file.yaml:8:spec.request[2].cors.allowCredentials: "*" does not go with credentials: browsers refuse it, and any page could act for its reader, name them one by one, or leave allowCredentials out',
  ],
  'methods and headers that are none': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {request: [{name: s, cors: {allowOrigins: ["*"], allowMethods: [put, "GE T"], allowHeaders: ["X Y"], exposeHeaders: [a, a]}}]}
`,
    'file.yaml:4:spec.request[0].cors.allowHeaders[0]: "X Y" is not allowed here, write an HTTP token, for example X-Client-Id',
    'file.yaml:4:spec.request[0].cors.allowMethods[0]: "put" is not allowed here, write a method in upper case',
    'file.yaml:4:spec.request[0].cors.allowMethods[1]: "GE T" is not allowed here, write a method in upper case',
    'file.yaml:4:spec.request[0].cors.exposeHeaders[1]: "a" is already used by item 0, remove it',
  ],
  'a time that is too long, and a field that is misspelt': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {request: [{name: s, cors: {allowOrigins: ["*"], maxAge: 48h, allowedMethods: [GET]}}]}
`,
    'file.yaml:4:spec.request[0].cors.allowedMethods: is not a known field, did you mean "allowMethods"?',
    'file.yaml:4:spec.request[0].cors.maxAge: 48h is out of bounds, write a duration from 0s to 24h',
  ],
  'cors in the response part': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {response: [{name: s, cors: {allowOrigins: ["*"]}}]}
`,
    'file.yaml:4:spec.response[0].cors: is not a known field, remove it, or write name, when, hideBackend, setHeaders, removeHeaders, replaceText, respond or choose',
  ],
};

export const replaceText: Cases = {
  'nothing to look for': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {response: [{name: s, replaceText: {from: "", to: a, mediaTypes: [text/*]}}, {name: t, replaceText: {to: a, mediaTypes: [text/*]}}]}
`,
    'file.yaml:4:spec.response[0].replaceText.from: is empty, write at least one character',
    'file.yaml:4:spec.response[1].replaceText.from: is missing, add it: Text to look for, as it stands, byte by byte in UTF-8, upper and lower case told apart; every place where it occurs',
  ],
  'nothing to put there': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {response: [{name: s, replaceText: {from: a, mediaTypes: [text/*]}}]}
`,
    'file.yaml:4:spec.response[0].replaceText.to: is missing, add it: Text to put there, as it stands; empty: what was found is cut out',
  ],
  'no media types, and what is none': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {response: [{name: s, replaceText: {from: a, to: b}}, {name: t, replaceText: {from: a, to: b, mediaTypes: [json, "*/*"]}}]}
`,
    'file.yaml:4:spec.response[0].replaceText.mediaTypes: is missing, add it: Media types of bodies that are rewritten; text/* is allowed',
    'file.yaml:4:spec.response[1].replaceText.mediaTypes[0]: "json" is not allowed here, write a media type such as application/json or text/*',
    'file.yaml:4:spec.response[1].replaceText.mediaTypes[1]: "*/*" is not allowed here, write a media type such as application/json or text/*',
  ],
  'a bound that is none, or too large': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {response: [{name: s, replaceText: {from: a, to: b, mediaTypes: [text/*], maxBytes: 1Gi}}, {name: t, replaceText: {from: a, to: b, mediaTypes: [text/*], maxBytes: lots}}]}
`,
    'file.yaml:4:spec.response[0].replaceText.maxBytes: 1Gi is out of bounds, write bytes from 1 to 64Mi',
    'file.yaml:4:spec.response[1].replaceText.maxBytes: "lots" is not a number of bytes, write bytes such as 65536, 64Ki or 1Mi',
  ],
  'a body that is too large for a word of its own': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {response: [{name: s, replaceText: {from: a, to: b, mediaTypes: [text/*], onOversize: Truncate}}]}
`,
    'file.yaml:4:spec.response[0].replaceText.onOversize: "Truncate" is not known, write Fail or Pass',
  ],
  'one media type instead of a list': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {response: [{name: s, replaceText: {from: a, to: b, mediaTypes: text/html}}]}
`,
    'file.yaml:4:spec.response[0].replaceText.mediaTypes: is the string "text/html", but a list is wanted, write a list: one "- " item a line',
  ],
  'in the request part': [
    manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {request: [{name: s, replaceText: {from: a, to: b, mediaTypes: [text/*]}}]}
`,
    'file.yaml:4:spec.request[0].replaceText: is not a known field, remove it, or write name, when, jwt, clientCertificate, subscription, hmacSignature, anyOf, deviceAuth, authorize, ipFilter, rateLimit, quota, requireHeader, concurrency, cors, setHeaders, removeHeaders, setVariables, respond or choose',
  ],
};

/** What is wrong with the text of a manifest, before anything in it has a meaning. */
import { describe } from 'node:test';
import { manifest, testCases } from './check-manifests.ts';

describe('check finds in the text', () =>
  testCases({
    'a tab in the indentation': [
      manifest`
kind: AuthPolicy
spec:
	mode: Audit
`,
      'file.yaml:3: a tab stands in the indentation, indent with spaces',
    ],
    'a field written twice': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  mode: Audit
  request: []
  mode: Enforce
`,
      'file.yaml:7: the same field is written twice, remove one of them',
    ],
    'a bracket that is not closed': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop
spec: {}
`,
      'file.yaml:4: a bracket or brace that was opened above is not closed, close it before this line',
    ],
    'indentation that does not fit': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata:
  name: a
 namespace: shop
`,
      'file.yaml:5: the indentation does not fit the lines around it, give members of one object the same indentation',
    ],
    'a line that is indented one space too few': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - name: x
   removeHeaders: [a]
`,
      'file.yaml:7: the line is no item of the list around it, or is indented less or more than its neighbours, begin it with "- ", or give members of one object the same indentation',
    ],
    'a line that is indented one space too many': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  mode: Audit
   request: []
`,
      'file.yaml:5: a second ": " stands on the line, or the line after it is indented less or more than its neighbours, put text that holds ": " in quotes, or indent the lines alike',
    ],
    'a template without quotes': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {request: [{name: a, setHeaders: [{name: x-a, value: @x}]}]}
`,
      'file.yaml:4: text starts with a character that YAML keeps for itself, put the text in quotes',
    ],
    'an expression with a colon and no quotes': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec:
  request:
  - name: a
    when: request.path == 'x' ? true : false
    removeHeaders: [x]
`,
      'file.yaml:7: a second ": " stands on the line, or the line after it is indented less or more than its neighbours, put text that holds ": " in quotes, or indent the lines alike',
    ],
    'a document that is no object': [
      manifest`
just some text
`,
      'file.yaml:1: the document is the string "just some text", but an object is wanted, write apiVersion: sallyport.dev/v1alpha1 and kind',
    ],
    'a document without kind': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
metadata: {name: a, namespace: shop}
spec: {}
`,
      'file.yaml:1:kind: is missing, write ClusterAuthPolicy, AuthPolicy, Api, TokenIssuer, ClientTrust, DeviceAuthService, BackendCredential, Subscription or PolicyTest',
    ],
    'a document without apiVersion': [
      manifest`
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {}
`,
      'file.yaml:1:apiVersion: is missing, write sallyport.dev/v1alpha1',
    ],
    'a kind that does not exist': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthorizationPolicy
metadata: {name: a, namespace: shop}
spec: {}
`,
      'file.yaml:2:kind: "AuthorizationPolicy" is not a kind of sallyport.dev, write ClusterAuthPolicy, AuthPolicy, Api, TokenIssuer, ClientTrust, DeviceAuthService, BackendCredential, Subscription or PolicyTest',
    ],
    'a kind that is misspelt': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: TokenIsuer
metadata: {name: a, namespace: shop}
spec: {}
`,
      'file.yaml:2:kind: "TokenIsuer" is not a kind of sallyport.dev, did you mean "TokenIssuer"?',
    ],
    'a version that does not exist': [
      manifest`
apiVersion: sallyport.dev/v1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {}
`,
      'file.yaml:1:apiVersion: "sallyport.dev/v1" is not known, write sallyport.dev/v1alpha1',
    ],
    'a group that is misspelt': [
      manifest`
apiVersion: sallyport.io/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {}
`,
      'file.yaml:1:apiVersion: "sallyport.io/v1alpha1" is not known, write sallyport.dev/v1alpha1',
    ],
    'a policy of another product': [
      manifest`
apiVersion: kuadrant.io/v1
kind: AuthPolicy
metadata: {name: a, namespace: shop}
spec: {rules: {}}
`,
      'file.yaml:1:apiVersion: warning: is of another group, so this AuthPolicy is ignored, write sallyport.dev/v1alpha1 if it is meant for Sallyport',
    ],
    'a name that is none': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: Fleet_Policy, namespace: shop}
spec: {}
`,
      'file.yaml:3:metadata.name: "Fleet_Policy" is not an object name, write lower-case letters, digits, - and ., at most 253 characters',
    ],
    'no name at all': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {namespace: shop}
spec: {}
`,
      'file.yaml:3:metadata.name: is missing, write a name: lower-case letters, digits, - and ., at most 253 characters',
    ],
    'labels that no object may have': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: AuthPolicy
metadata: {name: a, namespace: shop, labels: {tier: "a b", "-x": y, ok: 1}, lables: {}}
spec: {}
`,
      'file.yaml:3:metadata.labels.ok: is the number 1, but text is wanted, write the value in quotes',
      'file.yaml:3:metadata.labels.tier: "a b" is not a label’s value, write at most 63 letters, digits, -, _ and .',
      'file.yaml:3:metadata.labels["-x"]: "-x" is not a label’s name, write at most 63 letters, digits, -, _ and ., optionally after prefix/',
      'file.yaml:3:metadata.lables: is not a known field, did you mean "labels"?',
    ],
    'the same object twice': [
      manifest`
apiVersion: sallyport.dev/v1alpha1
kind: TokenIssuer
metadata: {name: corp, namespace: shop}
spec: {discovery: {url: "https://other.example.com/"}}
`,
      'file.yaml:3:metadata.name: the same object is already declared in base.yaml:3, and that one counts, remove one of them, or rename it',
    ],
    'a Secret that is not Base64': [
      manifest`
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: shop}
data: {key: hunter2}
`,
      'file.yaml:4:data.key: is not Base64, encode it, or move it to stringData as it is',
    ],
    'a Secret with a misspelt field': [
      manifest`
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: shop}
stringdata: {key: hunter2}
`,
      'file.yaml:4:stringdata: is not a known field, did you mean "stringData"?',
    ],
    'a Secret with a number': [
      manifest`
apiVersion: v1
kind: Secret
metadata: {name: s, namespace: shop}
stringData: {pin: 1234}
`,
      'file.yaml:4:stringData.pin: is not text, write the value in quotes',
    ],
    'a ConfigMap with a key that none may have': [
      manifest`
apiVersion: v1
kind: ConfigMap
metadata: {name: s, namespace: shop}
data: {"a b": x}
`,
      'file.yaml:4:data["a b"]: the key is not allowed, write letters, digits, -, _ and ., at most 253',
    ],
  }));

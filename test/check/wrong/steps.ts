/** What is wrong with steps that have no page of their own here, each by itself. */
import { casesOf } from './cases-of.ts';

export const requireHeader = casesOf({
  'no name': [
    ['name: s, requireHeader: {values: [a]}'],
    '6:spec.request[0].requireHeader.name: is missing, add it: The header; missing: 403 HeaderNotFound',
  ],
  'a name that is none': [
    ['name: s, requireHeader: {name: "X Env"}'],
    '6:spec.request[0].requireHeader.name: "X Env" is not allowed here, write an HTTP token, for example X-Client-Id',
  ],
  'an empty list of values': [
    ['name: s, requireHeader: {name: X-Env, values: []}'],
    '6:spec.request[0].requireHeader.values: is an empty list, write at least one item',
  ],
  'one value instead of a list': [
    ['name: s, requireHeader: {name: X-Env, values: prod}'],
    '6:spec.request[0].requireHeader.values: is the string "prod", but a list is wanted, write a list: one "- " item a line',
  ],
  'a value that is not text': [
    ['name: s, requireHeader: {name: X-Env, values: [8080, true]}'],
    '6:spec.request[0].requireHeader.values[0]: is the number 8080, but text is wanted, write it in quotes: "8080"',
    '6:spec.request[0].requireHeader.values[1]: is true, but text is wanted, write it in quotes: "true"',
  ],
  'a value twice': [
    ['name: s, requireHeader: {name: X-Env, values: [prod, test, prod]}'],
    '6:spec.request[0].requireHeader.values[2]: "prod" is already used by item 0, remove it',
  ],
});

export const removeHeaders = casesOf({
  'one header instead of a list': [
    ['name: s, removeHeaders: X-Debug'],
    '6:spec.request[0].removeHeaders: is the string "X-Debug", but a list is wanted, write a list: one "- " item a line',
  ],
  'an empty list': [
    ['name: s, removeHeaders: []'],
    '6:spec.request[0].removeHeaders: is an empty list, write at least one item',
  ],
  'a header twice': [
    ['name: s, removeHeaders: [X-Debug, x-debug, X-Debug]'],
    '6:spec.request[0].removeHeaders[2]: "X-Debug" is already used by item 0, remove it',
  ],
  'a pattern': [
    ['name: s, removeHeaders: ["X-Debug-*"]'],
    '6:spec.request[0].removeHeaders[0]: "X-Debug-*" is not allowed here, write an HTTP token, for example X-Client-Id, without *: names are compared as a whole',
  ],
  'a header that frames the message': [
    ['name: s, removeHeaders: [Content-Length]'],
    '6:spec.request[0].removeHeaders[0]: the header "Content-Length" frames the message or belongs to the connection, so no policy may set or remove it, remove it',
  ],
  objects: [
    ['name: s, removeHeaders: [{name: X-Debug}]'],
    '6:spec.request[0].removeHeaders[0]: is an object, but text is wanted, write an HTTP token, for example X-Client-Id, without *: names are compared as a whole',
  ],
});

export const authorize = casesOf({
  'no rule': [
    ['name: s, authorize: {}'],
    '6:spec.request[0].authorize: has none of allow and deny, write at least one of them',
  ],
  'a rule without an expression': [
    ['name: s, authorize: {allow: [{name: staff}]}'],
    '6:spec.request[0].authorize.allow[0].expression: is missing, add it: CEL, of type bool',
  ],
  'an expression that is no condition': [
    ['name: s, authorize: {allow: [{expression: "request.path"}]}'],
    '6:spec.request[0].authorize.allow[0].expression: is of type string, but a bool is wanted, write a condition: true or false',
  ],
  'an expression that cannot be read': [
    ['name: s, authorize: {deny: [{expression: "request.path =="}]}'],
    '6:spec.request[0].authorize.deny[0].expression: is not valid CEL: Unexpected token: EOF (column 16), mend the expression',
  ],
  'a variable that is not there': [
    ['name: s, authorize: {deny: [{expression: "request.uri == \'/\'"}]}'],
    '6:spec.request[0].authorize.deny[0].expression: reads request.uri, which does not exist here, use one of method, path, query, headers, host, scheme, size and time',
  ],
  'an assignment': [
    ['name: s, authorize: {allow: [{expression: "request.method = \'GET\'"}]}'],
    '6:spec.request[0].authorize.allow[0].expression: is not valid CEL: Unexpected character: = (column 16), did you mean ==?',
  ],
  'types that never compare': [
    ['name: s, authorize: {allow: [{expression: "request.size == \'0\'"}]}'],
    '6:spec.request[0].authorize.allow[0].expression: has a wrong type: no such overload: int == string, mend the expression',
  ],
  'a pattern that is not a literal': [
    ['name: s, authorize: {allow: [{expression: "request.path.matches(request.host)"}]}'],
    '6:spec.request[0].authorize.allow[0].expression: calls matches() with a computed pattern, write the regular expression as a literal string',
  ],
  'a pattern that RE2 does not know': [
    ['name: s, authorize: {allow: [{expression: "request.path.matches(\'(?=a)b\')"}]}'],
    '6:spec.request[0].authorize.allow[0].expression: the regular expression "(?=a)b" is not one of RE2 (back-references and look-around do not exist there), write it for RE2',
  ],
  'an answer that is not there yet': [
    ['name: s, authorize: {allow: [{expression: "response.status == 200"}]}'],
    '6:spec.request[0].authorize.allow[0].expression: uses the variable "response", which does not exist here, use one of request, source, jwt, cert, subscription, caller, params, vars and steps',
  ],
});

export const deviceAuth = casesOf({
  'no service': [
    ['name: c, clientCertificate: {trust: devices}', 'name: s, deviceAuth: {deviceId: "${params.deviceId}"}'],
    '7:spec.request[1].deviceAuth.service: is missing, add it: The DeviceAuthService that is asked; no answer that decides: 503 DeviceAuthUnavailable',
  ],
  'no device': [
    ['name: s, deviceAuth: {service: devices}'],
    '6:spec.request[0].deviceAuth.deviceId: is missing, add it: The device id; must equal the answer’s deviceId, and certificateIdentity when given, else 403 DeviceMismatch',
  ],
  'a service that does not exist': [
    ['name: s, deviceAuth: {service: device, deviceId: "${params.deviceId}"}'],
    '6:spec.request[0].deviceAuth.service: names the DeviceAuthService "device", which does not exist, write "devices"',
  ],
  'a hole that is not closed': [
    ['name: s, deviceAuth: {service: devices, deviceId: "${params.deviceId"}'],
    '6:spec.request[0].deviceAuth.deviceId: holds a ${ without its }, close it, or write $${ for a literal ${',
  ],
  'an id that is no text': [
    ['name: s, deviceAuth: {service: devices, deviceId: "${params}"}'],
    '6:spec.request[0].deviceAuth.deviceId: in ${…} uses params as a whole, read one of its members: deviceId',
  ],
  'a body that is not there yet': [
    ['name: s, deviceAuth: {service: devices, deviceId: "${steps.s.body.deviceId}"}'],
    '6:spec.request[0].deviceAuth.deviceId: in ${…} reads steps.s, which is this step itself, read what is known at this place',
  ],
});

export const anyOf = casesOf({
  'no alternative': [['name: s, anyOf: []'], '6:spec.request[0].anyOf: is an empty list, write at least one item'],
  'an alternative that is none': [
    ['name: s, anyOf: [{}]'],
    '6:spec.request[0].anyOf[0]: has none of jwt, clientCertificate, subscription, hmacSignature and anonymous, write exactly one of them',
  ],
  'two alternatives in one': [
    ['name: s, anyOf: [{anonymous: {}, jwt: {issuers: [corp], audiences: [a]}}]'],
    '6:spec.request[0].anyOf[0].anonymous: jwt and anonymous exclude each other, keep one of jwt, clientCertificate, subscription, hmacSignature and anonymous',
  ],
  'a step that is no authentication': [
    ['name: s, anyOf: [{ipFilter: {allow: [10.0.0.0/8]}}]'],
    '6:spec.request[0].anyOf[0].ipFilter: is not a known field, remove it, or write jwt, clientCertificate, subscription, hmacSignature or anonymous',
  ],
  'an alternative without its object': [
    ['name: s, anyOf: [{anonymous: true}]'],
    '6:spec.request[0].anyOf[0].anonymous: is true, but an object is wanted, write {}',
  ],
  'an anyOf within an anyOf': [
    ['name: s, anyOf: [{anyOf: [{anonymous: {}}]}]'],
    '6:spec.request[0].anyOf[0].anyOf: is not a known field, remove it, or write jwt, clientCertificate, subscription, hmacSignature or anonymous',
  ],
  'one object instead of a list': [
    ['name: s, anyOf: {anonymous: {}}'],
    '6:spec.request[0].anyOf: is an object, but a list is wanted, write a list: one "- " item a line',
  ],
});

export const hideBackendInRequest = casesOf({
  'in the request part': [
    ['name: s, hideBackend: {}'],
    '6:spec.request[0].hideBackend: is not a known field, remove it, or write name, when, jwt, clientCertificate, subscription, hmacSignature, anyOf, deviceAuth, authorize, ipFilter, rateLimit, quota, requireHeader, concurrency, cors, setHeaders, removeHeaders, setVariables, respond or choose',
  ],
});

export const hideBackend = casesOf(
  {
    'a header to remove that frames the message': [
      ['name: s, hideBackend: {removeHeaders: [Content-Length]}'],
      '6:spec.response[0].hideBackend.removeHeaders[0]: the header "Content-Length" frames the message or belongs to the connection, so no policy may set or remove it, remove it',
    ],
    'a host that is none': [
      ['name: s, hideBackend: {rewriteHosts: {from: ["http://a.internal/path"]}}'],
      '6:spec.response[0].hideBackend.rewriteHosts.from[0]: "http://a.internal/path" is not allowed here, write an authority or origin such as http://fleet.shop.svc:8080',
    ],
    'bodies without media types': [
      ['name: s, hideBackend: {bodies: {}}'],
      '6:spec.response[0].hideBackend.bodies.mediaTypes: is missing, add it: Media types of bodies that are rewritten; text/* is allowed',
    ],
    'an errorBodies that is not known': [
      ['name: s, hideBackend: {errorBodies: Remove}'],
      '6:spec.response[0].hideBackend.errorBodies: "Remove" is not known, write Replace or Keep',
    ],
    'a size past what is held in memory': [
      ['name: s, hideBackend: {bodies: {mediaTypes: [text/html], maxBytes: 1Gi}}'],
      '6:spec.response[0].hideBackend.bodies.maxBytes: 1Gi is out of bounds, write bytes from 1 to 64Mi',
    ],
  },
  'response',
);

export const jwt = casesOf({
  'no audience': [
    ['name: s, jwt: {issuers: [corp]}'],
    '6:spec.request[0].jwt.audiences: is missing, add it: aud must hold one of them, else 401 TokenAudienceNotAllowed; [Any], alone, switches the check off and is shown in status',
  ],
  'no issuer': [
    ['name: s, jwt: {audiences: [a]}'],
    '6:spec.request[0].jwt.issuers: is missing, add it: TokenIssuers, one of which must have issued the token; else 401 TokenIssuerNotAllowed',
  ],
  'an issuer that does not exist': [
    ['name: s, jwt: {issuers: [crop], audiences: [a]}'],
    '6:spec.request[0].jwt.issuers[0]: names the TokenIssuer "crop", which does not exist, write "corp"',
  ],
  'a place that is two': [
    ['name: s, jwt: {issuers: [corp], audiences: [a], from: [{header: X-A, query: b}]}'],
    '6:spec.request[0].jwt.from[0].query: header and query exclude each other, keep one of header, query and cookie',
  ],
  'a scheme without a header': [
    ['name: s, jwt: {issuers: [corp], audiences: [a], from: [{query: a, scheme: Bearer}]}'],
    '6:spec.request[0].jwt.from[0].scheme: scheme only goes with header, remove scheme',
  ],
});

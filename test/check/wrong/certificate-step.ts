/** What is wrong with clientCertificate. */
import { casesOf } from './cases-of.ts';

export const clientCertificate = casesOf({
  'no trust': [
    ['name: s, clientCertificate: {identities: [{commonName: robot-7}]}'],
    '6:spec.request[0].clientCertificate.trust: is missing, add it: The ClientTrust by which the certificate is judged',
  ],
  'a trust that does not exist': [
    ['name: s, clientCertificate: {trust: devices}'],
    '6:spec.request[0].clientCertificate.trust: names the ClientTrust "devices", which does not exist, create it, or name one that exists',
  ],
  'several trusts': [
    ['name: s, clientCertificate: {trust: [devices, gateways]}'],
    '6:spec.request[0].clientCertificate.trust: is a list, but text is wanted, write lower-case letters, digits, - and . (with a namespace: namespace/name)',
  ],
  'an identity that says nothing': [
    ['name: s, clientCertificate: {trust: devices, identities: [{}]}'],
    '6:spec.request[0].clientCertificate.identities[0]: has none of subjectAltName, thumbprint, publicKeyPin, serialNumber, commonName, subject, issuerSubject and issuerThumbprint, write at least one of them',
  ],
  'no identity at all': [
    ['name: s, clientCertificate: {trust: devices, identities: []}'],
    '6:spec.request[0].clientCertificate.identities: is an empty list, write at least one item',
  ],
  'a name of no kind': [
    ['name: s, clientCertificate: {trust: devices, identities: [{subjectAltName: {}}]}'],
    '6:spec.request[0].clientCertificate.identities[0].subjectAltName: has none of uri, dns, email and ip, write at least one of them',
  ],
  'a name without how it compares': [
    ['name: s, clientCertificate: {trust: devices, identities: [{subjectAltName: {uri: "urn:device:"}}]}'],
    '6:spec.request[0].clientCertificate.identities[0].subjectAltName.uri: is the string "urn:device:", but an object is wanted, write an object with members such as exact, prefix or suffix',
  ],
  'a name that compares in two ways': [
    [
      'name: s, clientCertificate: {trust: devices, identities: [{subjectAltName: {uri: {exact: "urn:a", prefix: "urn:"}}}]}',
    ],
    '6:spec.request[0].clientCertificate.identities[0].subjectAltName.uri.prefix: exact and prefix exclude each other, keep one of exact, prefix and suffix',
  ],
  'a DNS name matched by prefix': [
    ['name: s, clientCertificate: {trust: devices, identities: [{subjectAltName: {dns: {prefix: robot}}}]}'],
    '6:spec.request[0].clientCertificate.identities[0].subjectAltName.dns.prefix: a DNS name cannot be matched by prefix: anybody may own the rest, use exact or suffix',
  ],
  'a thumbprint that is cut off': [
    ['name: s, clientCertificate: {trust: devices, identities: [{thumbprint: "AA:BB:CC"}]}'],
    '6:spec.request[0].clientCertificate.identities[0].thumbprint: "AA:BB:CC" is not allowed here, write 40 or 64 hex digits',
  ],
  'a serial number in decimal quotes': [
    ['name: s, clientCertificate: {trust: devices, identities: [{serialNumber: "0x1F"}]}'],
    '6:spec.request[0].clientCertificate.identities[0].serialNumber: "0x1F" is not allowed here, write hex digits',
  ],
  'a serial number without quotes': [
    ['name: s, clientCertificate: {trust: devices, identities: [{serialNumber: 4711}]}'],
    '6:spec.request[0].clientCertificate.identities[0].serialNumber: is the number 4711, but text is wanted, write it in quotes: "4711"',
  ],
  'a pin in hex': [
    [
      'name: s, clientCertificate: {trust: devices, identities: [{publicKeyPin: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}]}',
    ],
    '6:spec.request[0].clientCertificate.identities[0].publicKeyPin: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" is not allowed here, write 44 characters of Base64',
  ],
  'a misspelt field': [
    ['name: s, clientCertificate: {trust: devices, identities: [{commonname: robot-7}]}'],
    '6:spec.request[0].clientCertificate.identities[0].commonname: is not a known field, did you mean "commonName"?',
  ],
  'where the certificate comes from, which its ClientTrust says': [
    ['name: s, clientCertificate: {trust: devices, source: header}'],
    '6:spec.request[0].clientCertificate.source: is not a known field, remove it, or write trust or identities',
  ],
});

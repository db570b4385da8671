/**
 * A program for a network namespace: IP packets of protocols that Node does not speak, by raw sockets, which need no module
 * of the kernel for the protocol.
 *
 *   send PROTOCOL ADDRESS…      one packet to each
 *   receive PROTOCOL…           says `ready`, then `got PROTOCOL FAMILY` for each that comes in, until its input ends
 */
import koffi from 'koffi';
import { parseIpv4, parseIpv6 } from '../../../src/api/cidr.ts';

// sys/socket.h of Linux.
const FAMILIES = { 4: 2, 6: 10 } as const;
const SOCK_RAW = 3;
const MSG_DONTWAIT = 0x40;
const LOOK_MS = 10;
const BYTES = 64;

const library = koffi.load(null);
const openSocket = library.func('int socket(int, int, int)');
const sendTo = library.func('long sendto(int, void *, size_t, int, void *, uint32_t)');
const receive = library.func('long recv(int, void *, size_t, int)');

type Family = keyof typeof FAMILIES;

function open(family: Family, protocol: number): number {
  const descriptor: unknown = openSocket(FAMILIES[family], SOCK_RAW, protocol);
  if (typeof descriptor !== 'number' || descriptor < 0) throw new Error(`no raw socket for protocol ${protocol}`);
  return descriptor;
}

/** sockaddr_in or sockaddr_in6. */
function writeAddress(address: string): { readonly family: Family; readonly bytes: Uint8Array } {
  const four = parseIpv4(address);
  if (four !== undefined)
    return { family: 4, bytes: Uint8Array.from([FAMILIES[4], 0, 0, 0, ...four, 0, 0, 0, 0, 0, 0, 0, 0]) };
  const six = parseIpv6(address) ?? [];
  return { family: 6, bytes: Uint8Array.from([FAMILIES[6], 0, 0, 0, 0, 0, 0, 0, ...six, 0, 0, 0, 0]) };
}

function send(protocol: number, address: string): void {
  const { family, bytes } = writeAddress(address);
  // Ports 5353 where the protocol has them, and a length that fits UDP.
  const packet = new Uint8Array(BYTES);
  packet.set([0x14, 0xe9, 0x14, 0xe9, 0, BYTES]);
  const sent: unknown = sendTo(open(family, protocol), packet, packet.length, 0, bytes, bytes.length);
  if (sent !== packet.length) throw new Error(`protocol ${protocol} cannot be sent to ${address}`);
}

function listen(protocols: readonly number[]): void {
  const sockets = protocols.flatMap(protocol =>
    ([4, 6] as const).map(family => ({ protocol, family, descriptor: open(family, protocol) })),
  );
  const buffer = new Uint8Array(2048);
  const look = (): void => {
    for (const { protocol, family, descriptor } of sockets) {
      while (Number(receive(descriptor, buffer, buffer.length, MSG_DONTWAIT)) > 0) {
        process.stdout.write(`got ${protocol} ${family}\n`);
      }
    }
  };
  setInterval(look, LOOK_MS);
  process.stdin.resume().on('end', () => process.exit());
  process.stdout.write('ready\n');
}

const [, , what, ...rest] = process.argv;
if (what === 'receive') listen(rest.map(Number));
else for (const address of rest.slice(1)) send(Number(rest[0]), address);

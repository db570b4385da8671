/** A TCP probe: whether the app takes connections. */
import { connect } from 'node:net';
import type { ProbeReplay } from '../api/probe-replay.ts';
import type { Outcome, ReplayContext } from './probe-replays.ts';

export function replayTcp({ port }: ProbeReplay, { find }: ReplayContext, signal: AbortSignal): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: find(port).address, port, signal });
    socket.on('error', reject);
    socket.once('connect', () => {
      resolve(200);
      socket.destroy();
    });
  });
}

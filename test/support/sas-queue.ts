/** The demo's queue as an app that a test may stop, start and look into. */
import { judgeSas, type QueuePolicy } from '../../src/demo/queue.ts';
import { RecordingApp, folded, type Seen, type TlsServer } from './servers.ts';

export class SasQueue extends RecordingApp {
  readonly refused: string[] = [];
  readonly messages: string[] = [];

  constructor(host: string, policy: QueuePolicy, tls?: TlsServer) {
    super((seen, response) => {
      void judgeSas(authorizationOf(seen), `https://${host}${seen.path}`, policy).then(problem => {
        if (problem === undefined) {
          this.messages.push(seen.body);
          response.writeHead(201, { 'content-type': 'application/xml', server: 'Microsoft-HTTPAPI/2.0' }).end();
        } else {
          this.refused.push(problem);
          response.writeHead(401, { 'content-type': 'text/plain' }).end(`${problem}\n`);
        }
      });
    }, tls);
  }
}

export const authorizationOf = (seen: Seen): string => folded(seen.lines, 'authorization').join();

/** Open streams are judged again (M7): under a new generation, every minute, and when what permitted them ends. */
import { judge } from '../decision/judge.ts';
import { refuse } from '../decision/refuse.ts';
import type { Denial, Permit, Respond, Verdict } from '../decision/verdict.ts';
import type { RequestView } from '../policy/request.ts';
import { RequestEvidence, type Asked } from './evidence-source.ts';
import type { ActiveListener, Listener } from './listener.ts';
import { describePeer, type JudgedClient } from './trusted-peers.ts';

/** How long a stream goes on without being judged again. */
export const REJUDGE_MS = 60_000;

interface StreamClient extends JudgedClient {
  readonly listener: Listener;
  reset(): void;
  /** Something unforeseen was thrown: the connection ends. */
  fault(error: unknown): void;
}

export interface Rejudged extends Asked {
  readonly client: StreamClient;
  readonly view: RequestView | undefined;
  rejudging: boolean;
  renew(permit: Permit, active: ActiveListener): void;
  revoke(denial: Denial | Respond): void;
}

/** Whatever does not end in a permit ends the stream; so does what cannot be decided. */
export function judgeAgain(stream: Rejudged): void {
  const { client, view } = stream;
  const { active } = client.listener;
  // The port has lost its Api: nothing permits this any more.
  if (active === undefined || view === undefined) return client.reset();
  const settle = (verdict: Verdict): void => {
    stream.rejudging = false;
    if (verdict.verdict === 'Deny' || verdict.verdict === 'Respond') stream.revoke(verdict);
    else stream.renew(verdict, active);
  };
  try {
    const match = active.plan.match(view.method, view.host, view.path);
    if (match.kind === 'refused') return stream.revoke(refuse(match.reason, match.errors));
    const now = client.shared.clock();
    const evidence = new RequestEvidence(client, active, { view, peer: describePeer(client, active, now) }, stream);
    const reserved = active.generation.snapshot.reservedHeaders;
    const verdict = judge(match.route, match.params, view, reserved, evidence, { now, rejudge: true });
    if (!(verdict instanceof Promise)) return settle(verdict);
    stream.rejudging = true;
    verdict.then(settle, (error: unknown) => client.fault(error));
  } catch (error) {
    client.fault(error);
  }
}

/** The step `ipFilter` (P8), over `source.ip`: the peer, or what trusted hops say. */
import type { AddressFilter, AddressVerdict } from '../policy/address-filter.ts';
import { object, type Objection } from './objection.ts';
import type { Run } from './run.ts';

const OBJECTIONS: Readonly<Record<AddressVerdict, Objection | undefined>> = {
  Allowed: undefined,
  Blocked: object('AddressBlocked'),
  NotAllowed: object('AddressNotAllowed'),
};

export const filterAddress = (run: Run, filter: AddressFilter): Objection | undefined =>
  OBJECTIONS[filter(run.request.sourceIp)];
